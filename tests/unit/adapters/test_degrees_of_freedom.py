import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from memlaw.adapters.degrees_of_freedom import degrees_of_freedom

SIZE = st.integers(1, 6)


def drawn(rows: int, columns: int) -> torch.Tensor:
    """A random matrix."""
    return torch.randn(rows, columns, dtype=torch.float64)


@settings(max_examples=40)
@given(rank=st.integers(1, 8), inputs=SIZE, in_features=SIZE, out_features=SIZE, most=SIZE, seed=st.integers(0, 99))
def test_it_is_the_rank_of_the_jacobian_of_what_the_adapter_adds(rank, inputs, in_features, out_features, most, seed):
    torch.manual_seed(seed)
    k = min(inputs, in_features, most)
    X, A, B = drawn(inputs, k) @ drawn(k, in_features), drawn(rank, in_features), drawn(out_features, rank)
    by_A, by_B = torch.autograd.functional.jacobian(lambda A, B: X @ A.T @ B.T, (A, B))
    jacobian = torch.cat([by_A.reshape(X.shape[0] * out_features, -1), by_B.reshape(X.shape[0] * out_features, -1)], 1)
    assert torch.linalg.matrix_rank(jacobian, rtol=1e-9) == degrees_of_freedom(rank, out_features, k)


@given(rank=st.integers(1, 8), in_features=SIZE, out_features=SIZE, k=SIZE)
def test_it_is_at_most_the_number_of_parameters_and_never_falls_with_rank_or_inputs(rank, in_features, out_features, k):
    k = min(k, in_features)
    counted = degrees_of_freedom(rank, out_features, k)
    assert counted <= rank * (in_features + out_features)
    assert counted <= degrees_of_freedom(rank + 1, out_features, k)
    assert counted <= degrees_of_freedom(rank, out_features, k + 1)


def test_by_hand():
    assert degrees_of_freedom(1, 576, 100) == 576 + 100 - 1
    assert degrees_of_freedom(4, 576, 1536) == 4 * (576 + 1536 - 4)
    assert degrees_of_freedom(512, 576, 100) == 576 * 100
    assert degrees_of_freedom(512, 64, 100) == 64 * 100
