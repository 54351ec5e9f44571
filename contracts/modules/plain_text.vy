# pragma version 0.4.3
"""
@title Plain text
@license MIT
@author Cxmpute DEX
@notice Which names may be shown to people and read by programs: printable ASCII and nothing else.
@dev A look-alike letter or an invisible one would make one symbol pass for another, and bytes that are no UTF-8
     would stop every reader of the event.
"""

SPACE: constant(uint256) = 32
TILDE: constant(uint256) = 126  # the last printable character


@internal
@pure
def _is_plain(text: String[64], with_spaces: bool) -> bool:
    """
    @return Whether the text has a character and each is printable ASCII.
    """
    for position: uint256 in range(len(text), bound=64):
        character: uint256 = convert(convert(slice(text, position, 1), Bytes[1]), uint256)
        if character < SPACE or character > TILDE or (character == SPACE and not with_spaces):
            return False
    return len(text) != 0
