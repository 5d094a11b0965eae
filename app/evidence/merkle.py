"""Merkle trees of RFC 6962 section 2.1, kept by RFC 9162: hashes, roots, and proofs made and verified.

SHA-256 with leaves and nodes in separate domains; every hash is 32 bytes. Proofs are made from a hash reader, so that a
tree may lie anywhere, and need a number of hashes that grows with the logarithm of its size.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import reduce
from hashlib import sha256

HASH_BYTES = 32
EMPTY_ROOT = sha256(b"").digest()
"""The root of a log without entries."""

HashReader = Callable[[int, int], bytes]
"""(height, index) -> the root of the perfect subtree over the leaves [index * 2**height, (index + 1) * 2**height)."""


def leaf_hash(entry: bytes) -> bytes:
    """The 32 bytes that stand for an entry: SHA-256 of 0x00 and its bytes."""
    return sha256(b"\x00" + entry).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    """The 32 bytes that stand for two subtrees: SHA-256 of 0x01 and both hashes."""
    return sha256(b"\x01" + left + right).digest()


class CompactRange:
    """A growing tree of which only the roots of its perfect subtrees are kept: one hash per binary 1 of its size."""

    def __init__(self) -> None:
        self.size = 0
        self._roots: list[bytes] = []  # largest subtree first

    def append(self, leaf: bytes) -> None:
        """Add the hash of the next leaf."""
        node, size = leaf, self.size
        while size & 1:  # a perfect subtree of the same height waits on the left
            node = node_hash(self._roots.pop(), node)
            size >>= 1
        self._roots.append(node)
        self.size += 1

    def root(self) -> bytes:
        """The tree hash over all leaves so far."""
        return _fold(self._roots) if self._roots else EMPTY_ROOT


def root_of(leaves: Sequence[bytes]) -> bytes:
    """The root over leaf hashes."""
    tree = CompactRange()
    for leaf in leaves:
        tree.append(leaf)
    return tree.root()


def hashes_of(leaves: Sequence[bytes]) -> HashReader:
    """A hash reader over leaf hashes in memory, which computes each node when it is asked for."""

    def read(height: int, index: int) -> bytes:
        return root_of(leaves[index << height : (index + 1) << height])

    return read


def tree_root(size: int, read: HashReader) -> bytes:
    """The root over the first `size` leaves."""
    return _range_root(0, size, read) if size else EMPTY_ROOT


def inclusion_proof(index: int, size: int, read: HashReader) -> list[bytes]:
    """PATH(index, D[size]): what with the leaf makes the root over the first `size` leaves, the leaf's sibling first.

    Raises ValueError unless 0 <= index < size.
    """
    if not 0 <= index < size:
        raise ValueError(f"a tree of {size} leaves has no leaf {index}")
    start, end, siblings = 0, size, list[bytes]()
    while end - start > 1:
        middle = start + _split(end - start)
        if index < middle:
            siblings.append(_range_root(middle, end, read))
            end = middle
        else:
            siblings.append(_range_root(start, middle, read))
            start = middle
    return siblings[::-1]


def consistency_proof(old_size: int, size: int, read: HashReader) -> list[bytes]:
    """PROOF(old_size, D[size]): what shows that the first `old_size` leaves are those of the older tree.

    Empty where the sizes are equal or the older tree was. Raises ValueError unless 0 <= old_size <= size.
    """
    if not 0 <= old_size <= size:
        raise ValueError(f"a tree of {size} leaves extends none of {old_size}")
    start, end, siblings = 0, size if old_size else 0, list[bytes]()
    while end != old_size:
        middle = start + _split(end - start)
        if old_size <= middle:
            siblings.append(_range_root(middle, end, read))
            end = middle
        else:
            siblings.append(_range_root(start, middle, read))
            start = middle
    if start:  # the subtree on the right edge of the older tree; a perfect older tree is itself where it begins
        siblings.append(_range_root(start, end, read))
    return siblings[::-1]


def inclusion_holds(index: int, size: int, leaf: bytes, proof: Sequence[bytes], root: bytes) -> bool:
    """Whether the leaf hash is number `index` of the tree of this size and root (RFC 9162 section 2.1.3.2)."""
    if not 0 <= index < size or not _are_hashes(leaf, root, *proof):
        return False
    first, last, node = index, size - 1, leaf
    for sibling in proof:
        if last == 0:
            return False
        if first & 1 or first == last:
            node = node_hash(sibling, node)
            climbed = _trailing_zeros(first)  # the rightmost node of a level rises until it is a right child
            first, last = first >> climbed, last >> climbed
        else:
            node = node_hash(node, sibling)
        first, last = first >> 1, last >> 1
    return last == 0 and node == root


def consistency_holds(old_size: int, size: int, old_root: bytes, root: bytes, proof: Sequence[bytes]) -> bool:
    """Whether the tree of `size` and `root` extends that of `old_size` and `old_root` (RFC 9162 section 2.1.4.2)."""
    if not 0 <= old_size <= size or not _are_hashes(old_root, root, *proof):
        return False
    if old_size in (0, size):
        return not proof and old_root == (root if old_size else EMPTY_ROOT)
    # A perfect older tree is a node of the newer one, and its root is not repeated in the proof.
    path = proof if old_size & (old_size - 1) else [old_root, *proof]
    return bool(path) and _consistent_roots(old_size, size, path) == (old_root, root)


def _consistent_roots(old_size: int, size: int, path: Sequence[bytes]) -> tuple[bytes, bytes] | None:
    """The older and the newer root that a path makes; None unless its length is that of the sizes."""
    skipped = _trailing_zeros(old_size)
    first, last = (old_size - 1) >> skipped, (size - 1) >> skipped
    old_node = node = path[0]
    for sibling in path[1:]:
        if last == 0:
            return None
        if first & 1 or first == last:
            old_node, node = node_hash(sibling, old_node), node_hash(sibling, node)
            climbed = _trailing_zeros(first)
            first, last = first >> climbed, last >> climbed
        else:
            node = node_hash(node, sibling)
        first, last = first >> 1, last >> 1
    return (old_node, node) if last == 0 else None


def _split(size: int) -> int:
    """The largest power of two below a size of at least 2: the leaves of the left subtree."""
    return 1 << (size - 1).bit_length() - 1


def _trailing_zeros(number: int) -> int:
    """How often a number can be halved; 0 for 0."""
    return (number & -number).bit_length() - 1 if number else 0


def _range_root(start: int, end: int, read: HashReader) -> bytes:
    """The tree hash over the leaves [start, end), where start is one at which a subtree of the tree begins."""
    return _fold([read(height, index) for height, index in _perfect_subtrees(start, end)])


def _perfect_subtrees(start: int, end: int) -> Iterator[tuple[int, int]]:
    """Height and index of the perfect subtrees that make up the leaves [start, end), largest and leftmost first."""
    while start < end:
        height = (end - start).bit_length() - 1
        yield height, start >> height
        start += 1 << height


def _fold(roots: Sequence[bytes]) -> bytes:
    return reduce(lambda right, left: node_hash(left, right), reversed(roots))


def _are_hashes(*values: bytes) -> bool:
    return all(len(value) == HASH_BYTES for value in values)
