"""Damaged images: a tool says what is wrong, and ends."""

import os
import random

from lab import check, test
from trees import make


def ends(lab, image, what):
    """Everything is read; whatever is found, nothing panics and nothing hangs."""
    for words in (["lklfs", "check", image], ["fs2tar", image, "/dev/null"]):
        lab.tool(*words, status=None, timeout=60)
        check(lab.status in (0, 1), what, words[0], f"status {lab.status}", lab.err[-500:])
        check("panicked" not in lab.err, what, lab.err[-500:])


@test(need=("mkfs.ext4",))
def cut_short(lab):
    make(lab.path("src"), sockets=False)
    image = lab.mkfs(size="96M", tree=lab.path("src"))
    size = os.stat(image).st_size
    for n in range(24):
        lab.run("cp", "--sparse=always", image, "cut.img")
        os.truncate(lab.path("cut.img"), size * n // 24 + (n * 517) % 4096)
        ends(lab, "cut.img", f"cut at {n}/24")


@test(need=("mkfs.ext4",))
def bytes_changed(lab):
    make(lab.path("src"), sockets=False)
    for seed in range(60):
        rng = random.Random(seed)
        options = (["-O", "^metadata_csum"], ["-O", "^metadata_csum,inline_data"], ["-t", "ext2"])[seed % 3]
        image = lab.mkfs("bad.img", "96M", *options, tree=lab.path("src"))
        # Where metadata are: what is not zero in the first MiBs.
        with open(image, "r+b") as f:
            head = f.read(4 << 20)
            used = [n for n in range(0, len(head), 64) if any(head[n:n + 64])]
            for _ in range(rng.choice((1, 5, 50))):
                f.seek(rng.choice(used) + rng.randrange(64))
                f.write(bytes([rng.randrange(256)]))
        ends(lab, image, f"seed {seed} {options}")
