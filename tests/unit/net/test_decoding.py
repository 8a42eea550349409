"""Compressed answers: every coding that servers use, in any pieces, and none that fills the memory."""

import gzip
import tracemalloc
import zlib
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from millrace.net.client import GuardedHttpClient
from millrace.net.decoding import PART, decoder_for
from millrace.ports.http import HttpFailed, HttpRequest
from tests.unit.net.raw_server import answer_of, raw_server, saying


def raw_deflate(content: bytes) -> bytes:
    packer = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    return packer.compress(content) + packer.flush()


CODINGS = {"gzip": gzip.compress, "x-gzip": gzip.compress, "deflate": zlib.compress, "raw": raw_deflate, "": bytes}


def decoded(coding: str, *pieces: bytes) -> bytes:
    decoder = decoder_for("deflate" if coding == "raw" else coding)
    whole = b"".join(part for piece in pieces for part in decoder.parts(piece))
    decoder.end()
    return whole


@given(
    coding=st.sampled_from(sorted(CODINGS)),
    content=st.binary(max_size=200) | st.integers(PART - 300, 3 * PART + 300).map(bytes),
    cuts=st.lists(st.integers(0, 400), max_size=5),
)
def test_any_content_in_any_pieces_comes_out_as_it_went_in(coding: str, content: bytes, cuts: list[int]) -> None:
    packed = CODINGS[coding](content)
    edges = sorted({0, len(packed), *(cut % (len(packed) + 1) for cut in cuts)})
    pieces = [packed[start:end] for start, end in pairwise(edges)]
    assert decoded(coding, *pieces) == content


@pytest.mark.parametrize("beyond", range(16))
@pytest.mark.parametrize("strategy", [zlib.Z_FIXED, zlib.Z_RLE])
def test_what_is_still_to_come_when_all_input_was_taken_is_not_lost(strategy: int, beyond: int) -> None:
    packer = zlib.compressobj(wbits=-zlib.MAX_WBITS, strategy=strategy)
    packed = packer.compress(bytes(PART + beyond)) + packer.flush()
    assert len(decoded("raw", packed)) == PART + beyond


@pytest.mark.parametrize("coding", ["gzip", "deflate", "raw"])
def test_one_byte_at_a_time_is_enough(coding: str) -> None:
    packed = CODINGS[coding](b"hello " * 1000)
    assert decoded(coding, *(packed[at : at + 1] for at in range(len(packed)))) == b"hello " * 1000


def test_all_members_of_a_gzip_file_are_read() -> None:
    assert (
        decoded("gzip", gzip.compress(b"one ") + gzip.compress(b"two ") + gzip.compress(b"three")) == b"one two three"
    )


@pytest.mark.parametrize("coding", ["gzip", "deflate", "raw"])
def test_what_follows_the_end_is_a_failure(coding: str) -> None:
    with pytest.raises(HttpFailed):
        decoded(coding, CODINGS[coding](b"hello"), b"and more" * 1000)


@pytest.mark.parametrize("coding", ["gzip", "deflate", "raw"])
@pytest.mark.parametrize("lost", [1, 4, 20])
def test_a_cut_answer_is_a_failure(coding: str, lost: int) -> None:
    with pytest.raises(HttpFailed, match="ended in the middle"):
        decoded(coding, CODINGS[coding](bytes(range(256)))[:-lost])


@pytest.mark.parametrize("coding", ["gzip", "deflate"])
def test_garbage_is_a_failure(coding: str) -> None:
    with pytest.raises(HttpFailed, match="not compressed as it says"):
        decoded(coding, b"\xff" * 100)


@pytest.mark.parametrize("coding", ["gzip", "deflate", "identity", " GZIP "])
def test_nothing_at_all_is_an_empty_body(coding: str) -> None:
    assert decoded(coding) == b""


@pytest.mark.parametrize("coding", ["br", "zstd", "gzip, deflate", "x" * 1000])
def test_another_coding_is_a_failure_that_names_it(coding: str) -> None:
    with pytest.raises(HttpFailed, match=coding[:40]):
        decoder_for(coding)


@pytest.mark.parametrize("coding", ["gzip", "deflate", "raw"])
async def test_a_bomb_ends_at_the_limit_without_filling_the_memory(client: GuardedHttpClient, coding: str) -> None:
    bomb = CODINGS[coding](bytes(256 * 1024 * 1024))
    name = "deflate" if coding == "raw" else coding
    async with raw_server(saying(answer_of(bomb, f"Content-Encoding: {name}"))) as server:
        tracemalloc.start()
        try:
            async with client.send(HttpRequest("GET", server.url())) as answer:
                with pytest.raises(HttpFailed, match="longer than 1000000 bytes"):
                    async for _ in answer.body(1_000_000):
                        pass
            assert tracemalloc.get_traced_memory()[1] < 8 * 1024 * 1024
        finally:
            tracemalloc.stop()


async def test_head_and_304_may_name_a_coding_without_a_body(client: GuardedHttpClient) -> None:
    said = b"HTTP/1.1 304 Not Modified\r\nContent-Encoding: gzip\r\n\r\n"
    async with raw_server(saying(said)) as server, client.send(HttpRequest("GET", server.url())) as answer:
        assert [part async for part in answer.body(10)] == []
