// Reads [{typedData, key}] as JSON from stdin; writes [{digest, signature}] as viem sees it.
import { readFileSync } from "node:fs";
import { hashTypedData } from "viem";
import { privateKeyToAccount } from "viem/accounts";

const answers = [];
for (const { typedData, key } of JSON.parse(readFileSync(0, "utf8"))) {
  answers.push({
    digest: hashTypedData(typedData),
    signature: await privateKeyToAccount(key).signTypedData(typedData),
  });
}
process.stdout.write(JSON.stringify(answers));
