# pragma version 0.4.3
"""
@title Median
@license MIT
@author Cxmpute DEX
@notice The middle of a few numbers.
@dev Promises: of n values, `_middles` gives those with (n - 1) // 2 and n // 2 others below them: one value twice when n
               is odd, the two in the middle when it is even. The order of the values does not matter.
     Never:    reads or writes storage.
"""

MAX_VALUES: constant(uint256) = 9


@internal
@pure
def _middles(values: DynArray[uint256, MAX_VALUES]) -> (uint256, uint256):
    """
    @dev A value's rank is the number of values below it; equal values rank by position, so that every rank is taken
         once. Of no values at all both middles are zero.
    """
    lower: uint256 = 0
    upper: uint256 = 0
    for i: uint256 in range(len(values), bound=MAX_VALUES):
        rank: uint256 = 0
        for j: uint256 in range(len(values), bound=MAX_VALUES):
            if values[j] < values[i] or (values[j] == values[i] and j < i):
                rank += 1
        if rank == (len(values) - 1) // 2:
            lower = values[i]
        if rank == len(values) // 2:
            upper = values[i]
    return lower, upper
