"""Every key of the configuration is declared as scientific or operational."""

from helpers.configs import composed

from memlaw.config.keys import OPERATIONAL, SCIENTIFIC, TABLES, TRAINING_SETTINGS


def test_every_key_is_declared_exactly_once():
    declared = [*SCIENTIFIC, *OPERATIONAL, *TABLES]
    assert sorted(declared) == sorted(composed())


def test_a_packs_training_reads_operational_keys():
    assert set(TRAINING_SETTINGS) <= set(OPERATIONAL)
