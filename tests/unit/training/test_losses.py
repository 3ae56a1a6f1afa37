import math

import pytest
import torch
import torch.nn.functional as F
from helpers.models import ARCHITECTURES, random_base
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers.modeling_outputs import BaseModelOutput

from memlaw.models import head as head_module
from memlaw.models.anatomy import decoder_of
from memlaw.models.head import Head
from memlaw.training.losses import TokenLosses, token_losses


def scored(model_type: str):
    base = random_base(model_type)
    torch.manual_seed(0)
    input_ids = torch.randint(0, 300, (2, 12))
    position = torch.tensor([[4, 5, 6, 7, 8, 9, 10, 11], [7, 8, 9, 10, 11, 1, 1, 1]])
    valid = torch.tensor([[True] * 8, [True] * 5 + [False] * 3])
    decoded = decoder_of(base.model)(input_ids=input_ids)
    decoded.last_hidden_state = decoded.last_hidden_state.detach().requires_grad_()
    return base, input_ids, position, valid, decoded


@pytest.mark.parametrize("model_type", ARCHITECTURES)
def test_losses_are_those_of_the_models_own_logits(model_type: str, monkeypatch: pytest.MonkeyPatch):
    base, input_ids, position, valid, decoded = scored(model_type)
    monkeypatch.setitem(head_module.CHUNK_BYTES, "cpu", 3 * 4 * 300)  # three rows a chunk
    losses = token_losses(decoded, input_ids, position, valid, Head(base.model))
    logits = base.model(input_ids).logits
    logp = logits.double().log_softmax(-1)
    for row in range(2):
        for column, at in enumerate(position[row].tolist()):
            nll, argmax, argmax_nll = (value[row, column].item() for value in losses)
            if valid[row, column]:
                assert nll == pytest.approx(-logp[row, at - 1, input_ids[row, at]].item(), abs=1e-5)
                assert argmax == logits[row, at - 1].argmax()
                assert argmax_nll == pytest.approx(-logp[row, at - 1].max().item(), abs=1e-5)
            else:
                assert nll == 0


@pytest.mark.parametrize("model_type", ["llama", "gemma2"])
def test_gradients_are_autograds_for_any_weights(model_type: str, monkeypatch: pytest.MonkeyPatch):
    base, input_ids, position, valid, decoded = scored(model_type)
    monkeypatch.setitem(head_module.CHUNK_BYTES, "cpu", 3 * 4 * 300)
    head = Head(base.model)
    weights = torch.rand(2, 8)
    losses = token_losses(decoded, input_ids, position, valid, head)
    assert not losses.argmax_nll.requires_grad
    (ours,) = torch.autograd.grad((losses.nll * weights).sum(), decoded.last_hidden_state)
    logits = torch.stack([head(row, decoded) for row in decoded.last_hidden_state])
    picked = logits.gather(1, (position - 1)[..., None].expand(-1, -1, 300))
    loss = F.cross_entropy(picked.flatten(0, 1), input_ids.gather(1, position).flatten(), reduction="none")
    (reference,) = torch.autograd.grad((loss.view(2, 8) * weights * valid).sum(), decoded.last_hidden_state)
    torch.testing.assert_close(ours, reference, atol=1e-6, rtol=1e-5)


def test_never_more_logits_than_a_chunk(monkeypatch: pytest.MonkeyPatch):
    base, input_ids, position, valid, decoded = scored("llama")
    monkeypatch.setitem(head_module.CHUNK_BYTES, "cpu", 3 * 4 * 300)
    head, seen = Head(base.model), []
    base.model.lm_head.register_forward_hook(lambda _m, _a, out: seen.append(out.shape[-2]))
    token_losses(decoded, input_ids, position, valid, head)
    assert max(seen) <= 3
    assert sum(seen) == 16


class _FixedHead:
    """A head whose logits are the hidden states themselves."""

    def __call__(self, hidden: torch.Tensor, decoded: BaseModelOutput) -> torch.Tensor:
        return hidden

    def chunk_rows(self, _: torch.device) -> int:
        return 2


ROWS = st.lists(st.lists(st.floats(-30, 30, width=32), min_size=4, max_size=4), min_size=1, max_size=6)


def of_logits(logits: torch.Tensor, targets: list[int]) -> TokenLosses:
    """Losses [S] of given logits [S, V]."""
    rows = len(targets)
    hidden = torch.cat([logits, torch.zeros_like(logits[:1])])[None]
    position, valid = torch.arange(1, rows + 1)[None], torch.ones(1, rows, dtype=torch.bool)
    decoded = BaseModelOutput(last_hidden_state=hidden)
    losses = token_losses(decoded, torch.tensor([[0, *targets]]), position, valid, _FixedHead())
    return TokenLosses(*(value[0] for value in losses))


@given(ROWS, st.data())
@settings(deadline=None)
def test_a_token_with_p_above_one_half_is_the_argmax(logits: list[list[float]], data: st.DataObject):
    targets = [data.draw(st.integers(0, 3)) for _ in logits]
    losses = of_logits(torch.tensor(logits), targets)
    certain = losses.nll < math.log(2) - 1e-6
    assert (losses.argmax == torch.tensor(targets))[certain].all()


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=["float32", "bfloat16"])
@pytest.mark.parametrize("with_gradient", [True, False], ids=["training", "evaluation"])
@given(ROWS, st.data())
@settings(deadline=None)
def test_no_token_has_less_loss_than_the_argmax(
    with_gradient: bool, dtype: torch.dtype, rows: list[list[float]], data: st.DataObject
):
    targets = [data.draw(st.integers(0, 3)) for _ in rows]
    logits = torch.tensor(rows, dtype=dtype, requires_grad=with_gradient)
    nll, argmax, argmax_nll = of_logits(logits, targets)
    right = argmax == torch.tensor(targets)
    assert (argmax_nll <= nll).all()
    assert torch.equal(argmax_nll[right], nll[right])
    largest = logits.detach().double().log_softmax(-1).amax(-1)
    torch.testing.assert_close(argmax_nll.double(), -largest, atol=1e-6, rtol=1e-6)
