import pytest
import torch
from models import ARCHITECTURES, random_base

from memlaw.prefix import Prefix, layers_path


@pytest.mark.parametrize("model_type", ARCHITECTURES)
@pytest.mark.parametrize("first", [1, 3])
def test_logits_from_the_cached_prefix_are_bit_identical(model_type: str, first: int):
    base = random_base(model_type)
    torch.manual_seed(0)
    input_ids = torch.randint(0, 300, (3, 20))
    with torch.no_grad():
        expected = base.model(input_ids).logits
        prefix = Prefix(base.model, first)
        hidden = prefix.run(input_ids, batch_rows=3)
        with prefix.replaced(), prefix.feed(hidden):
            cached = base.model(input_ids).logits
        restored = base.model(input_ids).logits
    assert torch.equal(cached, expected)
    assert torch.equal(restored, expected)


def test_the_prefix_is_really_skipped():
    base = random_base()
    input_ids = torch.randint(0, 300, (1, 8))
    prefix = Prefix(base.model, 2)
    hidden = prefix.run(input_ids, batch_rows=1)
    runs = []
    for index, layer in enumerate(base.model.model.layers):
        layer.register_forward_hook(lambda *_, index=index: runs.append(index))
    with torch.no_grad(), prefix.replaced(), prefix.feed(hidden):
        base.model(input_ids)
    assert runs == [2, 3]


def test_running_the_prefix_stops_before_the_suffix():
    base = random_base()
    runs = []
    base.model.model.layers[2].register_forward_hook(lambda *_: runs.append("suffix"))
    hidden = Prefix(base.model, 2).run(torch.randint(0, 300, (5, 8)), batch_rows=2)
    assert hidden.shape == (5, 8, 32)
    assert not runs


@pytest.mark.parametrize("model_type", ARCHITECTURES)
def test_the_layers_are_found(model_type: str):
    base = random_base(model_type)
    path = layers_path(base.model, base.model.config)
    assert path is not None
    assert len(list(base.model.get_submodule(path).children())) == 4
