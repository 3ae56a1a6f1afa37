import pytest
import torch
import torch.nn.functional as F
from helpers.architectures.sizes import tiny_sizes
from helpers.models import ARCHITECTURES, random_base, spec
from transformers import AutoConfig, LlamaForCausalLM

from memlaw.adapters.targets import resolve_targets
from memlaw.core.errors import ConfigError
from memlaw.models.base import without_weights
from memlaw.models.random_weights import RandomModel
from memlaw.planning.resolved import AdaptedModel, ResolvedModel
from memlaw.planning.soundness import alike, length_matters, refuse_unsound, refuse_unsound_architecture


def adapted(config) -> AdaptedModel:
    """A model with that configuration, as its cells share it before any weight is loaded."""
    model = ResolvedModel(source=None, config=config, skeleton=without_weights(config))
    return AdaptedModel(model, spec("lora.layers=[0.667]"), targets=[])


def refuse(model, placement: str = "linear") -> None:
    targets = resolve_targets(random_base().model, spec(f"lora.placement={placement}"))
    refuse_unsound(model, targets, placement)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=["fp32", "bf16"])
@pytest.mark.parametrize("model_type", ARCHITECTURES)
def test_causal_models_pass(model_type: str, dtype: torch.dtype):
    model = random_base(model_type, dtype).model
    refuse_unsound(model, resolve_targets(model, spec()), "linear")


def test_blocks_pass():
    refuse(random_base().model, "block")


def test_a_model_that_sees_the_future_is_refused():
    sizes = {"hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 4, "num_attention_heads": 4,
             "vocab_size": 300}  # fmt: skip
    for decoder in (False, True):
        model = (
            RandomModel("m", "bert", {**sizes, "is_decoder": decoder}).load(torch.float32, torch.device("cpu")).model
        )
        targets = resolve_targets(model, spec())
        if decoder:
            refuse_unsound(model, targets, "linear")
        else:
            with pytest.raises(ConfigError, match="a bert lets tokens depend on what follows them"):
                refuse_unsound(model, targets, "linear")


def test_a_head_that_looks_at_the_row_is_refused():
    class Odd(LlamaForCausalLM):
        def forward(self, input_ids, **kwargs):
            outputs = super().forward(input_ids=input_ids, **kwargs)
            outputs.logits = outputs.logits + 0.1 * input_ids[..., None]
            return outputs

    odd = Odd(random_base().model.config).eval()
    with pytest.raises(ConfigError, match="a llama has a head that gives other logits for tokens alone"):
        refuse(odd)


def test_a_head_that_mixes_tokens_is_refused():
    class Mixing(LlamaForCausalLM):
        def forward(self, input_ids, **kwargs):
            outputs = super().forward(input_ids=input_ids, **kwargs)
            outputs.logits = outputs.logits + outputs.logits.roll(1, dims=1)
            return outputs

    mixing = Mixing(random_base().model.config).eval()
    with pytest.raises(ConfigError, match="a llama has a head that gives other logits for tokens alone"):
        refuse(mixing)


def test_logits_that_are_no_numbers_are_refused():
    model = random_base().model
    with torch.no_grad():
        model.model.norm.weight[0] = float("nan")
    with pytest.raises(ConfigError, match="a llama gives logits that are not numbers"):
        refuse(model)


def test_a_models_length_matters_where_its_positions_depend_on_it():
    rope = {"rope_type": "longrope", "rope_theta": 10000.0, "short_factor": [1.0] * 8, "long_factor": [4.0] * 8}
    rope["original_max_position_embeddings"] = 24
    sizes = tiny_sizes("phi3") | {"rope_parameters": rope, "original_max_position_embeddings": 24}
    model = RandomModel("m", "phi3", sizes).load(torch.float32, torch.device("cpu")).model
    assert length_matters(model, 40)
    assert not length_matters(model, 20)
    assert not length_matters(random_base().model, 40)


def test_a_module_that_is_passed_over_is_refused():
    model = random_base().model
    mlp = model.model.layers[2].mlp
    mlp.forward = lambda x: F.linear(F.silu(mlp.gate_proj(x)) * mlp.up_proj(x), mlp.down_proj.weight)
    with pytest.raises(ConfigError, match=r"same logits whatever model\.layers\.2\.mlp\.down_proj gives"):
        refuse(model)


def test_a_module_that_sees_the_rows_in_another_order_is_refused():
    model = random_base().model
    mlp = model.model.layers[2].mlp
    forward = mlp.forward
    mlp.forward = lambda x: forward(x.transpose(0, 1)).transpose(0, 1)
    with pytest.raises(ConfigError, match=r"mixes the rows of a batch in model\.layers\.2\.mlp\.down_proj"):
        refuse(model)


def test_a_module_that_sees_some_of_the_tokens_is_refused():
    model = random_base().model
    mlp = model.model.layers[2].mlp
    forward = mlp.forward
    mlp.forward = lambda x: torch.cat([forward(x.reshape(-1, 32)[:7]), x.reshape(-1, 32)[7:]]).view(x.shape)
    with pytest.raises(ConfigError, match=r"model\.layers\.2\.mlp\.down_proj cannot be adapted"):
        refuse(model)


def test_a_model_is_tried_once_for_its_targets():
    model = random_base().model
    forwards = []
    model.register_forward_hook(lambda *_: forwards.append(1))
    refuse(model)
    once = len(forwards)
    refuse(model)
    assert len(forwards) == once > 0


@pytest.mark.parametrize("model_type", ["bert", "roberta", "electra"])
def test_an_architecture_is_refused_before_its_weights_are_there(model_type: str):
    config = AutoConfig.for_model(model_type)
    with pytest.raises(ConfigError, match=f"a {model_type} lets tokens depend on what follows them"):
        refuse_unsound_architecture(adapted(config))


@pytest.mark.parametrize("model_type", ["gpt2", "qwen3_moe"])
def test_an_architecture_of_usual_size_is_tried_small_and_left_as_it_is(model_type: str, caplog):
    config = AutoConfig.for_model(model_type)
    before = config.to_dict()
    with caplog.at_level("DEBUG", "memlaw.planning.soundness"):
        refuse_unsound_architecture(adapted(config))
    assert config.to_dict() == before
    assert "not tested" not in caplog.text


def test_what_cannot_be_made_small_is_left_to_the_start(caplog):
    config = AutoConfig.for_model("longcat_flash")
    with caplog.at_level("DEBUG", "memlaw.planning.soundness"):
        refuse_unsound_architecture(adapted(config))
    assert "not tested on random weights: two layers have" in caplog.text


def test_alike_is_up_to_rounding():
    reference = torch.randn(12, 300, generator=torch.Generator().manual_seed(0))
    assert alike(reference + 1e-5, reference, torch.float32)
    assert not alike(reference + 1e-2, reference, torch.float32)
    assert alike(reference.bfloat16().float(), reference, torch.bfloat16)
    assert not alike(reference.flip(0), reference, torch.bfloat16)
