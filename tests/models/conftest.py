"""What several tests of models need."""

import pytest
import torch


@pytest.fixture
def write(tmp_path):
    def written(content, **options):
        path = tmp_path / "checkpoint.pt"
        torch.save(content, path, **options)
        return path

    return written
