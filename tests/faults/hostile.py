"""Files as a stranger would write them: weights that run code, tables that are bombs."""

import io
import json
import os
import pickle
import struct
import subprocess
import tarfile
import zipfile
from pathlib import Path

import torch
from safetensors.torch import save


class Call:
    """Calls a function when it is unpickled."""

    def __init__(self, function, *given):
        self.function, self.given = function, given

    def __reduce__(self):
        return self.function, self.given


def pickles(state: dict, left: Path) -> dict[str, bytes]:
    """Files for torch.load that would leave a file behind, were anything of theirs run."""
    shell = f"touch {left}"
    calls = {
        "system": Call(os.system, shell),
        "eval": Call(eval, f"open({str(left)!r}, 'w')"),
        "exec": Call(exec, f"open({str(left)!r}, 'w')"),
        "popen": Call(subprocess.Popen, ["touch", str(left)]),
        "inner": Call(pickle.loads, pickle.dumps(Call(os.system, shell))),
        "open": Call(open, str(left), "w"),
        "hub": Call(torch.hub.load, str(left.parent), "net"),
    }
    found = {}
    for name, call in calls.items():
        for zipped in (True, False):
            made = io.BytesIO()
            torch.save({**state, "x": call}, made, _use_new_zipfile_serialization=zipped)
            found[f"{name} {'zip' if zipped else 'legacy'}"] = made.getvalue()
        found[f"{name} pickle"] = pickle.dumps({"x": call})
    words = shell.encode()
    return found | {
        "inst": b"(S'%s'\nios\nsystem\n." % words,
        "obj": b"(cos\nsystem\nS'%s'\no." % words,
        "global": b"cos\nsystem\n(S'%s'\ntR." % words,
        "extension": b"\x80\x02\x82\x01.",
        "a frame of 2^62": b"\x80\x04\x95" + struct.pack("<Q", 2**62) + b"}.",
        "a text of 2^40": b"\x80\x04\x8d" + struct.pack("<Q", 2**40) + b"abc.",
        "an integer of 2^31": b"\x80\x02\x8b" + struct.pack("<i", 2**31 - 1) + b"abc.",
        "tuples in tuples": b"\x80\x02)" + b"\x85" * 20_000 + b".",
        "names outside": archive({"../../../outside": b"x", str(left): b"x"}),
        "packed zeros": packed(state),
        "one byte, a trillion times": saved({**state, "x": torch.zeros(1).expand(10**6, 10**6)}),
        "no bytes at all": saved({**state, "x": torch.empty(10**9, 10**9, device="meta")}),
    }


def of_other_kinds(state: dict) -> dict[str, bytes]:
    """Tensors of the right names and shapes that no weights are."""
    name = next(iter(state))
    weight = state[name]
    kinds = {
        "meta": weight.to("meta"),
        "complex": weight.to(torch.complex64),
        "bool": weight > 0,
        "integers": weight.long(),
        "sparse": weight.to_sparse(),
    }
    return {kind: saved({**state, name: tensor}) for kind, tensor in kinds.items()}


def saved(value: object) -> bytes:
    made = io.BytesIO()
    torch.save(value, made)
    return made.getvalue()


def archive(members: dict[str, bytes]) -> bytes:
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w") as parts:
        parts.writestr("w/data.pkl", pickle.dumps({}))
        parts.writestr("w/version", "3\n")
        for name, data in members.items():
            parts.writestr(name, data)
    return made.getvalue()


def packed(state: dict) -> bytes:
    """Half a gigabyte of zeros in a few megabytes, as a record of a tensor of three numbers."""
    made, source = io.BytesIO(), zipfile.ZipFile(io.BytesIO(saved({**state, "x": torch.ones(3)})))
    with zipfile.ZipFile(made, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as parts:
        for part in source.infolist():
            if not part.filename.endswith("/data/0"):
                parts.writestr(part.filename, source.read(part.filename))
                continue
            with parts.open(part.filename, "w", force_zip64=True) as record:
                for _ in range(512):
                    record.write(bytes(1 << 20))
    return made.getvalue()


def safetensors(state: dict) -> dict[str, bytes]:
    """Headers that lie."""
    good = save({name: tensor.contiguous() for name, tensor in state.items()})
    length = struct.unpack("<Q", good[:8])[0]
    header, body = json.loads(good[8 : 8 + length]), good[8 + length :]
    first = next(iter(header))
    start, end = header[first]["data_offsets"]

    def file(told: object, size: int | None = None, data: bytes = body) -> bytes:
        raw = told if isinstance(told, bytes) else json.dumps(told).encode()
        return struct.pack("<Q", len(raw) if size is None else size) + raw + data

    def changed(**values: object) -> bytes:
        return file({**header, first: {**header[first], **values}})

    many = {f"x{k}": {"dtype": "F32", "shape": [0], "data_offsets": [0, 0]} for k in range(60_000)}
    double = json.dumps({first: {**header[first], "dtype": "I32"}})[1:].encode()
    return {
        "nothing": b"",
        "noise": bytes(range(256)) * 4,
        "a header of 2^63": file(b"{}", 2**63),
        "a header of 2^64": file(b"{}", 2**64 - 1),
        "a header past the end": file(b"{}", len(body) + 100),
        "lists in lists": file(b"[" * 200_000),
        "metadata in metadata": file(b'{"__metadata__":' + b'{"a":' * 5000 + b"1" + b"}" * 5001),
        "an overlap": changed(data_offsets=[0, max(4, start)]),
        "past the end": changed(data_offsets=[10**12, 10**12 + end - start]),
        "below zero": changed(data_offsets=[-8, end]),
        "backwards": changed(data_offsets=[end, start]),
        "a gap": file({**header, first: {**header[first], "data_offsets": [start, end - 4]}}),
        "no such type": changed(dtype="F7"),
        "wider numbers": changed(dtype="F64"),
        "integers for floats": changed(dtype="I32"),
        "2^62 rows": changed(shape=[2**62, 4]),
        "2^64 values": changed(shape=[2**32, 2**32, 4]),
        "no rows of 2^60": changed(shape=[0, 2**60]),
        "a shape of words": changed(shape="abc"),
        "a long number": file(json.dumps(header).replace("[0,", "[" + "9" * 5000 + ",").encode()),
        "a name twice": file(json.dumps(header).encode()[:-1] + b"," + double),
        "60,000 tensors": file({**many}, data=b""),
        "a bell in a name": file({**header, "a\x07\x1b[2J": many["x0"] | {
            "data_offsets": [len(body), len(body)]}}),
    }  # fmt: skip


def laughs(levels: int = 30) -> str:
    """Nine names of nine names of nine ...: a text of a kilobyte that stands for 9^30 words."""
    lines = ["a0: &a0 [lol, lol]"]
    for k in range(levels):
        lines.append(f"a{k + 1}: &a{k + 1} [" + ", ".join([f"*a{k}"] * 9) + "]")
    return "\n".join(lines) + "\n"


def yamls(left: Path) -> dict[str, str]:
    """Texts that run code, grow without end, or are no values at all."""
    merged = ["a0: &a0 {k: v}"]
    merged += [f"a{k + 1}: &a{k + 1} {{<<: [*a{k}, *a{k}], k{k}: v}}" for k in range(30)]
    return {
        "a tag that calls": f"a: !!python/object/apply:os.system ['touch {left}']\n",
        "a tag of a module": "a: !!python/module:os\n",
        "a tag of an object": f"!!python/object/new:type ['x', [], {{'e': 'touch {left}'}}]\n",
        "names of names": laughs(),
        "names of names, in a model": "model: {spec: regard:cnn2}\n" + laughs(),
        "merged and merged": "\n".join(merged),
        "a name of itself": "a: &a [*a]\n",
        "lists in lists": "a: " + "[" * 20_000 + "]" * 20_000 + "\n",
        "keys in keys": "\n".join(" " * k + "a:" for k in range(3000)) + "\n",
        "the 31st of February": "a: 2021-02-31\n",
        "a long number": "a: " + "9" * 100_000 + "\n",
        "a number to the base of 60": "a: " + ":".join(["59"] * 20_000) + "\n",
        "a list as key": "? [a]\n: b\n",
        "binary that is none": "a: !!binary '====='\n",
        "a byte that is no text": "a: \x00\n",
        "17 MB": "a: '" + "x" * (17 << 20) + "'\n",
    }


def tars(photo: bytes, outside: Path) -> dict[str, bytes]:
    """Archives with names that lead outside, and with lengths that are none."""

    def packed_as(*members: tuple[str, dict[str, object]]) -> bytes:
        made = io.BytesIO()
        with tarfile.open(fileobj=made, mode="w", format=tarfile.PAX_FORMAT) as tar:
            for name, told in members:
                member = tarfile.TarInfo(name)
                for key, value in told.items():
                    setattr(member, key, value)
                data = b"" if "linkname" in told else photo
                member.size = len(data)
                tar.addfile(member, io.BytesIO(data))
        return made.getvalue()

    def link(name: str, to: str, kind: bytes = tarfile.SYMTYPE) -> tuple[str, dict[str, object]]:
        return name, {"type": kind, "linkname": to}

    def with_size(field: bytes) -> bytes:
        data = bytearray(packed_as(("a.png", {}), ("b.png", {})))
        data[124:136] = field
        data[148:156] = b" " * 8
        data[148:156] = b"%06o\0 " % sum(data[:512])
        return bytes(data)

    below = (256**12 - 512).to_bytes(12, "big")
    plain = ("good.png", {})
    return {
        "names that lead outside": packed_as(("../../a.png", {}), (str(outside / "b.png"), {})),
        "links that lead outside": packed_as(
            plain, link("c.png", str(outside / "secret.png")), link("d.png", "../../secret.png"),
            link("e.png", str(outside / "secret.png"), tarfile.LNKTYPE), link("f.png", "f.png"),
        ),
        "a device": packed_as(plain, ("g.png", {"type": tarfile.CHRTYPE, "linkname": ""})),
        "a length below zero": with_size(below),
        "a length of a petabyte": with_size(b"\x80" + (10**15).to_bytes(11, "big")),
        "a length that is none": with_size(b"zzzzzzzzzzz\0"),
        "a length of words": packed_as(("h.png", {"pax_headers": {"size": "-512"}})),
        "holes that are none": packed_as(("i.png", {"pax_headers": {"GNU.sparse.map": "a,b"}})),
        "noise": bytes(range(256)) * 64,
        "nothing": b"",
    }  # fmt: skip
