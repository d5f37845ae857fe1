"""Files of trials that are kept; see `test_sequence` and `test_images` for what is in them."""

from audiometamer.exploration.trial_stimuli import RecentFiles


def test_the_most_recent_files_are_kept():
    kept = RecentFiles(2)
    for k in range(3):
        kept.keep(str(k), bytes([k]))
    assert [kept.get(str(k)) for k in range(3)] == [None, b"\x01", b"\x02"]
