import numpy as np

from memlaw.data.memory import Memory, Pair

OTHER = Memory((Pair((8, 9, 10), (11, 12)),))
ONE = Memory((Pair((1, 2), (3, 4, 5)), Pair((6,), (7,))))


def test_the_fingerprint_sees_boundaries():
    assert Memory((Pair((1, 2), (3,)),)).fingerprint != Memory((Pair((1,), (2, 3)),)).fingerprint
    assert ONE.target_tokens == 4
    assert np.unique([ONE.fingerprint, OTHER.fingerprint]).size == 2
