"""What CMCS's streams vote for when CMAL hands over to CSCL: a toy, ten Gaussian classes seen through three linear maps.

    python cmcs_votes.py              # needs torch; half a minute of one core

Prints, for the released votes, for votes with the opposites of predictions and for SkeletonBYOL without votes: the mean cosine of a
prediction with the target of its own view over time, how many of the voted pairs are of one class, and 1-NN accuracy of one stream.
"""

import copy

import torch
from torch import nn
from torch.nn import functional

CLASSES, INPUTS, FEATURES, HIDDEN, POINTS, BATCH = 10, 24, 32, 64, 200, 32
CMAL_STEPS, VOTE_STEPS, WEIGHT, NEIGHBOURS, VOTES, CLIP = 250, 150, 10, 2, 2, 5.0


def mlp(inputs, outputs):
    return nn.Sequential(nn.Linear(inputs, HIDDEN), nn.BatchNorm1d(HIDDEN), nn.ReLU(), nn.Linear(HIDDEN, outputs))


def distance(a, b):
    return (2 - 2 * functional.cosine_similarity(a, b, dim=1)).mean()


def cosines(a, b):
    return functional.normalize(a, dim=1) @ functional.normalize(b, dim=1).T


def neighbours(similarity):
    best = similarity.detach().topk(NEIGHBOURS, 1).indices
    return torch.eye(len(similarity)).scatter(1, best, 1.0)


def train(kind, seed):
    """Own cosine of each step, (voted pairs, those of one class) of each step with votes, 1-NN accuracy."""
    torch.manual_seed(seed)
    centres = torch.randn(CLASSES, INPUTS)
    maps = [torch.randn(INPUTS, INPUTS) / INPUTS**0.5 for _ in range(3)]
    online = [nn.ModuleList([mlp(INPUTS, FEATURES), mlp(FEATURES, FEATURES), mlp(FEATURES, FEATURES)]) for _ in maps]
    target = copy.deepcopy(online)
    weights = [weight for network in online for weight in network.parameters()]
    optimizer = torch.optim.AdamW(weights, 1e-3)
    labels = torch.arange(POINTS) % CLASSES
    points = centres[labels] + 0.9 * torch.randn(POINTS, INPUTS)
    own, votes = [], []
    for step in range(CMAL_STEPS + VOTE_STEPS):
        chosen = torch.randint(0, POINTS, (BATCH,))
        views = [points[chosen] + 0.5 * torch.randn(BATCH, INPUTS) for _ in range(2)]
        loss, across, cosine = 0, [], 0
        for (encoder, projector, predictor), (mean_encoder, mean_projector, _), seen in zip(online, target, maps):
            p1, p2 = (predictor(projector(encoder(view @ seen))) for view in views)
            with torch.no_grad():
                t1, t2 = (mean_projector(mean_encoder(view @ seen)) for view in views)
            cosine += functional.cosine_similarity(p1, t1, dim=1).mean().item() / 3
            if kind == "byol":
                loss = loss + distance(p1, t2) + distance(p2, t1)
            else:
                loss = loss + distance(p1, p2) - 0.5 * (distance(p1, t1) + distance(p2, t2))
            sign = -1 if kind == "opposite" else 1
            across.append((cosines(sign * p1, t2), cosines(sign * p2, t1)))
        own.append(cosine)
        if step >= CMAL_STEPS and kind != "byol":
            label = (sum(neighbours(a) * neighbours(b) for a, b in across) >= VOTES).float()
            others = label * (1 - torch.eye(BATCH))
            same = (labels[chosen][:, None] == labels[chosen][None]).float()
            votes.append((int(others.sum()), int((others * same).sum())))
            for similarity in (similarity for pair in across for similarity in pair):
                loss = loss - WEIGHT * (label * functional.log_softmax(similarity, 1)).sum(1).mean()
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(weights, CLIP)
        optimizer.step()
        decay = min(1 - 1 / (step + 1), 0.99)
        with torch.no_grad():
            for network, mean in zip(online, target):
                for new, old in zip(network.parameters(), mean.parameters()):
                    old.mul_(decay).add_(new, alpha=1 - decay)
    with torch.no_grad():
        features = online[0].eval()[0](points @ maps[0])
    nearest = (cosines(features, features) - 9 * torch.eye(POINTS)).argmax(1)
    return own, votes, (labels[nearest] == labels).float().mean().item()


def main():
    torch.set_num_threads(1)
    for seed in range(3):
        for kind in ("released", "opposite", "byol"):
            own, votes, accuracy = train(kind, seed)
            line = f"seed {seed} {kind:8}  own cosine"
            for step in (CMAL_STEPS, CMAL_STEPS + 10, CMAL_STEPS + 50, CMAL_STEPS + VOTE_STEPS):
                line += f" {own[step - 1]:+.2f}"
            for first, last in ((0, 10), (10, 50), (50, VOTE_STEPS)):
                part = votes[first:last]
                line += f"  {sum(right for _, right in part)}/{sum(count for count, _ in part)}" if part else ""
            print(f"{line}  1-NN {accuracy:.2f}", flush=True)


if __name__ == "__main__":
    main()
