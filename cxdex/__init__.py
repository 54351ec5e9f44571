"""What integrators install: order types, EIP-712 signing, units, ABIs, and the client. Imports none of our services."""
