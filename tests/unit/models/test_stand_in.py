import torch
from torch import nn

from memlaw.models.stand_in import StandIn


class Doubled(StandIn):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return 2 * x


def test_a_stand_in_has_the_attributes_of_its_module_but_none_of_its_weights():
    module = nn.Linear(3, 3)
    module.attention_type = "full_attention"
    model = nn.Sequential(Doubled(module))
    assert (model[0].attention_type, model[0].in_features) == ("full_attention", 3)
    assert model[0].original is module
    assert not list(model.parameters())
    assert torch.equal(model(torch.ones(3)), torch.full((3,), 2.0))
