"""Where the gateway may connect to: server-side request forgery through providers' addresses, tried and repelled."""

from ipaddress import ip_address

import pytest
from tests.support.gateway import CHAT, answers, chat, gateway, reply, send, upstream
from tests.support.loop import in_loop

from farthing.core.errors import InputError, UpstreamError
from farthing.gateway.ports import Ask
from farthing.gateway.reach import Guard, check_address, objection, places
from farthing.gateway.upstream import HttpUpstream, Limits

NEVER = [
    "169.254.169.254",
    "169.254.170.2",
    "168.63.129.16",
    "100.100.100.200",
    "192.0.0.192",
    "0.0.0.0",
    "224.0.0.1",
    "255.255.255.255",
    "fe80::1",
    "fd00:ec2::254",
    "fd20:ce::254",
    "ff02::1",
    "::",
    "::ffff:169.254.169.254",
    "::169.254.169.254",
    "64:ff9b::a9fe:a9fe",
    "2002:a9fe:a9fe::1",
]
PRIVATE = [
    "127.0.0.1",
    "127.255.255.254",
    "10.0.0.1",
    "172.16.0.1",
    "192.168.1.1",
    "100.64.0.1",
    "::1",
    "fc00::1",
    "fd12:3456::1",
    "fec0::1",
    "::ffff:127.0.0.1",
    "::ffff:10.0.0.1",
    "64:ff9b::7f00:1",
    "2002:7f00:1::1",
]
PUBLIC = ["1.1.1.1", "104.18.7.192", "2606:4700::6812:7c0", "::ffff:1.1.1.1", "64:ff9b::101:101"]


@pytest.mark.parametrize("address", NEVER)
def test_metadata_and_link_local_are_never_reached(address):
    assert objection(ip_address(address), private=True)
    assert objection(ip_address(address), private=False)


@pytest.mark.parametrize("address", PRIVATE)
def test_private_networks_are_reached_only_where_that_is_wanted(address):
    assert objection(ip_address(address), private=False)
    assert not objection(ip_address(address), private=True)


@pytest.mark.parametrize("address", PUBLIC)
def test_public_addresses_are_reached(address):
    assert not objection(ip_address(address), private=False)


@pytest.mark.parametrize(
    "url",
    [
        "http://169.254.169.254/latest/meta-data",
        "http://[fd00:ec2::254]/v1",
        "http://metadata.google.internal/v1",
        "http://METADATA.google.internal./v1",
        "http://2852039166/v1",
        "http://0xa9fea9fe/v1",
        "http://127.0.0.1:6379",
        "http://2130706433/",
        "http://127.1/",
        "http://localhost:4181/v1",
        "https://user:secret@api.openai.com/v1",
        "https://api.openai.com@127.0.0.1/v1",
        "http://[::ffff:127.0.0.1]/v1",
    ],
)
def test_such_a_provider_cannot_be_added(url):
    with pytest.raises(InputError) as refused:
        check_address(url, private=False)
    assert "secret" not in str(refused.value)


def test_self_hosted_models_can_be_added_where_the_settings_say_so():
    check_address("http://127.0.0.1:11434/v1", private=True)
    with pytest.raises(InputError):
        check_address("http://169.254.169.254/v1", private=True)


async def asked(url: str, guard: Guard) -> int:
    client = HttpUpstream(Limits(connect=2), guard=guard)
    try:
        answer = await client.open(Ask(method="GET", url=url, headers=[], body=b""))
        await answer.aclose()
        return answer.status
    finally:
        await client.aclose()


async def ok(heard, writer):
    writer.write(reply(b"{}"))


@in_loop
async def test_a_name_that_changes_its_meaning_after_it_was_checked_gains_nothing():
    meanings = iter([["1.1.1.1"], ["127.0.0.1"], ["169.254.169.254"]])

    async def resolve(host: str, port: int) -> list[str]:
        return next(meanings)

    async with upstream(ok) as server:
        guard = Guard(resolve=resolve)
        assert await guard.addresses("rebind.example", server.port) == ["1.1.1.1"]
        for _ in range(2):
            with pytest.raises(UpstreamError, match=r"private network|metadata"):
                await asked(f"http://rebind.example:{server.port}/", guard)
        assert server.connections == 0


@in_loop
async def test_the_connection_goes_to_the_very_address_that_was_checked():
    looked_up = []

    async def resolve(host: str, port: int) -> list[str]:
        looked_up.append(host)
        return ["169.254.169.254", "127.0.0.1"]

    async with upstream(ok) as server:
        assert await asked(f"http://models.example:{server.port}/", Guard(private=True, resolve=resolve)) == 200
        assert looked_up == ["models.example"]


@in_loop
async def test_only_places_of_the_settings_file_may_be_private():
    async with upstream(ok) as server, upstream(ok) as other:
        guard = Guard()
        guard.trusted = places([server.url])
        assert await asked(server.url, guard) == 200
        with pytest.raises(UpstreamError, match="private network"):
            await asked(other.url, guard)
        assert other.connections == 0


@in_loop
async def test_the_gateway_does_not_follow_a_redirect_into_its_own_network(tmp_path):
    async with upstream(answers) as inside:

        async def redirects(heard, writer):
            writer.write(reply(b"", status="302 Found", headers=f"location: {inside.url}/chat/completions\r\n"))

        async with upstream(redirects) as outside, gateway(tmp_path, {"a": outside.url}) as lab:
            answer = await send(lab.port, CHAT, chat())
            assert answer.status >= 400
            assert inside.connections == 0
