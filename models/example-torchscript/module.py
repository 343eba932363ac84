"""A model of one's own: a person is the gated mean of their history."""

import torch


class Module(torch.nn.Module):
    def __init__(self, items: int = 1):
        super().__init__()
        # Plan: `item-vectors-weight` ["items", 16], `gate-weight` [16, 16], `gate-bias` [16], `item-bias` ["items"].
        self.item_vectors = torch.nn.Embedding(items, 16)
        self.gate = torch.nn.Linear(16, 16)
        self.item_bias = torch.nn.Parameter(torch.zeros(items))

    def forward(self, history: torch.Tensor, candidates: torch.Tensor) -> torch.Tensor:
        """history [k] and candidates [c], item numbers, int64; gives scores [c]."""
        rows = self.item_vectors(history)
        person = (rows * torch.sigmoid(self.gate(rows))).sum(0) / (rows.size(0) + 1)
        return torch.matmul(self.item_vectors(candidates), person) + self.item_bias[candidates]
