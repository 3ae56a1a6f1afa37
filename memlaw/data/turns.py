"""A pair before it is tokenized: the turns of a conversation, and the text that must follow them."""

from dataclasses import dataclass

NAMES = {"system": "system prompt", "user": "query"}
"""Role of a turn → its name in errors; other roles are named as they are."""


@dataclass(frozen=True)
class Turn:
    """A turn of a conversation.

    Attributes:
        role: `system`, `user`, `assistant`, or another that the chat template knows.
        content: its text.
    """

    role: str
    content: str

    @property
    def name(self) -> str:
        """Its name in errors."""
        return NAMES.get(self.role, f"{self.role} turn")


@dataclass(frozen=True)
class TextPair:
    """The turns that the model reads, and the text that it must write then."""

    turns: tuple[Turn, ...]
    target: str

    @classmethod
    def of(cls, query: str, target: str) -> "TextPair":
        """Make a pair of a single user turn."""
        return cls((Turn("user", query),), target)

    @property
    def query(self) -> str:
        """The turns as one text; that of a single user turn is its content."""
        if [turn.role for turn in self.turns] == ["user"]:
            return self.turns[0].content
        return "\n".join(f"{turn.role}: {turn.content}" for turn in self.turns)
