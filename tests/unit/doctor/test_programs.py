from memlaw.doctor.programs import output_of


def test_a_program_that_hangs_or_fails_has_no_output(path):
    (path / "sleep").symlink_to("/bin/sleep")
    assert output_of("sleep", "5", timeout_s=0.1) is None
    assert output_of("no-such-program") is None
