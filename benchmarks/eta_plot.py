"""A picture of true and estimated remaining time."""

from collections.abc import Sequence
from pathlib import Path

from benchmarks.eta_methods import METHODS, ours, taught
from benchmarks.replay import Replay

__all__ = ["plot"]


def plot(found: dict[str, list[Replay]], names: Sequence[str], file: Path) -> None:
    """True and estimated remaining time of the last run of each kind."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    shown = [found[name] for name in names]
    columns = 4
    rows = -(-len(shown) // columns)
    figure, axes = pyplot.subplots(rows, columns, figsize=(4 * columns, 3 * rows), squeeze=False, layout="constrained")
    for axis in axes.flat[len(shown) :]:
        axis.set_visible(False)
    for runs, axis in zip(shown, axes.flat, strict=False):
        *before, tested = runs
        known = taught(before)
        answers = ours(tested, known, before)
        ats = [said.at for said in answers]
        low, high = [said.middle for said in answers], [said.high for said in answers]
        axis.plot(ats, [said.left for said in answers], color="black", linewidth=1, label="true")
        axis.plot(ats, low, color="#2563eb", linewidth=1.5, label="p50")
        axis.fill_between(
            ats, [x or 0 for x in low], [x or 0 for x in high], color="#2563eb", alpha=0.2, label="to p90"
        )
        rich = METHODS["rich, learned weights"](tested, known, before)
        axis.plot(ats, [said.middle for said in rich], color="#dc2626", linewidth=0.8, alpha=0.8, label="rich")
        axis.set_title(f"{tested.trace.kind}, run {tested.trace.number}", fontsize=9)
        axis.set_ylim(0, 2 * tested.seconds)
        axis.tick_params(labelsize=7)
    axes.flat[0].legend(fontsize=7)
    figure.supxlabel("seconds since the start", fontsize=9)
    figure.supylabel("seconds remaining", fontsize=9)
    figure.savefig(file, dpi=90)
