"""The company of the demo: its teams, their features, what they ask for and how often."""

import msgspec


class Feature(msgspec.Struct, frozen=True, kw_only=True):
    """A feature that calls models.

    ``model`` is what the code asks for, an alias or a provider's name. ``share`` is its part of all
    requests. Lengths are medians in tokens; ``system`` is the part of the prompt that every call repeats. ``faq``: its
    questions are those that come again and again.
    """

    team: str
    name: str
    operation: str
    model: str
    share: float
    system: int
    question: int
    limit: int
    streams: float = 0.0
    tools: float = 0.0
    customers: tuple[str, ...] = ()
    faq: bool = False


CUSTOMERS = ("acme", "globex", "initech", "umbrella", "hooli")

FEATURES = (
    Feature(team="support", name="faq", operation="chat", model="small", share=0.34,
            system=900, question=12, limit=200, streams=0.3, faq=True),
    Feature(team="support", name="answer-ticket", operation="messages", model="claude-haiku-4-5", share=0.16,
            system=1600, question=180, limit=400, streams=0.6, tools=0.1, customers=CUSTOMERS),
    Feature(team="support", name="summarize-thread", operation="chat", model="small", share=0.10,
            system=400, question=1400, limit=220),
    Feature(team="code", name="review", operation="messages", model="claude-sonnet-4-5", share=0.08,
            system=2400, question=5200, limit=900, streams=1.0),
    Feature(team="code", name="complete", operation="chat", model="gpt-4.1-mini", share=0.10,
            system=1200, question=600, limit=160, streams=1.0),
    Feature(team="search", name="embed-documents", operation="embeddings", model="text-embedding-3-small", share=0.12,
            system=0, question=700, limit=0),
    Feature(team="search", name="answer", operation="chat", model="llama-70b", share=0.10,
            system=500, question=1800, limit=260, streams=0.8, customers=CUSTOMERS),
    Feature(team="growth", name="draft-email", operation="responses", model="gpt-5-mini", share=0.08,
            system=350, question=260, limit=600, streams=0.3),
    Feature(team="data", name="extract-invoice", operation="chat", model="gemini-2.5-flash", share=0.07,
            system=900, question=1500, limit=300, tools=0.3),
    Feature(team="", name="", operation="chat", model="gpt-4o-mini", share=0.03,
            system=80, question=120, limit=200),
)  # fmt: skip
"""The last one is somebody's script with a shared key: nobody's team, shown as unallocated."""

ALIASES = {
    "small": (("openai", "gpt-4o-mini"), ("gemini", "gemini-2.5-flash-lite"), ("anthropic", "claude-haiku-4-5")),
    "llama-70b": (
        ("together", "meta-llama/Llama-3.3-70B-Instruct-Turbo"),
        ("groq", "llama-3.3-70b-versatile"),
    ),
}
"""Model aliases of the demo and where each may go, the one the team used before first."""
