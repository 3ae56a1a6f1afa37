from memlaw.core.seeding import stream, stream_seed


def test_the_seeds_of_streams_are_the_same_in_every_version():
    # A change here changes the numbers of every cell: it must be meant.
    assert (stream_seed(0, "data"), stream_seed(1, "data")) == (5807405673665083786, 8830085292689215445)


def test_streams_repeat_and_do_not_share_numbers():
    first = stream(0, "data").integers(1 << 62, size=4).tolist()
    assert stream(0, "data").integers(1 << 62, size=4).tolist() == first
    for seed, purpose in ((1, "data"), (0, "order")):
        assert set(stream(seed, purpose).integers(1 << 62, size=4).tolist()).isdisjoint(first)


def test_torch_takes_every_seed():
    assert all(0 <= stream_seed(seed, "x") < 2**63 for seed in range(1000))
