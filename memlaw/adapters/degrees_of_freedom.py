"""Degrees of freedom of a LoRA adapter: how many of its parameters can matter over given inputs."""


def degrees_of_freedom(rank: int, out_features: int, input_rank: int) -> int:
    """Count the degrees of freedom of scale · B A x on one linear map, over inputs that do not change.

    Let X [T, in] be all inputs of the map, and k = rank(X). Only B A on span(X) acts: directions of A outside span(X)
    get no gradient. What acts is a matrix [out, k] of rank at most r, and these form a manifold of dimension

        ρ · (out + k − ρ),  ρ = min(r, out, k).

    This is the rank of the Jacobian of (A, B) → X Aᵀ Bᵀ at a generic point. It is r · (in + out) − r² where X spans
    everything, for A → G A, B → B G⁻¹ changes nothing. From r = min(out, k) on it is out · k.

    Limits: it counts what the map's output can be, not what the scored tokens can tell apart. For several maps the sum
    is an upper bound, since maps can do each other's work. A map above an adapted one has inputs that change while
    training; at any moment their rank is at most min(T, in), which bounds its part of the sum.

    Args:
        rank: r, at least 1.
        out_features: size of the map's output.
        input_rank: k.
    """
    used = min(rank, out_features, input_rank)
    return used * (out_features + input_rank - used)
