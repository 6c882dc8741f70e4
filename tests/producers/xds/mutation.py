"""What a control plane may get wrong in a response: each error changes one in its own way.

Where there is nothing to change, an error adds what may be there or not. All take a plane, whose plan chooses, and a
response of its variant.
"""

from __future__ import annotations

from functools import cache

from producers.xds.response import WRAPPER
from schemas import xds
from tests.producers.xds.pool import EDITIONS, KEYS, SETS, TYPE_URLS

ANY = "google.protobuf.Any"
FOREIGN = ("type.googleapis.com/istio.networking.nds.v1.NameTable", "", "no type at all")
TTL_MS = 7_000
MANY = 40
DEEP = 60


def _target(plane, response):
    """Give a resource of the response, if need be a new one."""
    if not response.resources:
        known = [key for key in KEYS if key[0] == response.type_url] or KEYS
        response.resources.append(plane.wrapped(*plane.plan.one_of(known), plane.plan.below(EDITIONS)))
    return response.resources[plane.plan.below(len(response.resources))]


def _in_wrapper(plane, response):
    """Give a resource as its wrapper: in the state of the world one has to be put around it."""
    target = _target(plane, response)
    if plane.is_delta:
        return target, lambda: None
    wrapper = xds.message_class(WRAPPER)(name=_name_in(target), version="w", resource=target)
    return wrapper, lambda: target.CopyFrom(xds.pack(wrapper))


def _name_in(target):
    message = xds.unpack(target)
    return "" if message is None else getattr(message, "name", "") or getattr(message, "cluster_name", "")


def _body(plane, response):
    target = _target(plane, response)
    return target.resource if plane.is_delta else target


def flip(plane, response):
    """Change a byte of a resource."""
    body = _body(plane, response)
    if body.value:
        place, value = plane.plan.below(256) % len(body.value), plane.plan.below(256)
        body.value = body.value[:place] + bytes([value]) + body.value[place + 1 :]


def cut(plane, response):
    """Break a resource off."""
    body = _body(plane, response)
    body.value = body.value[: plane.plan.below(256)]


def double(plane, response):
    """Send a resource twice."""
    response.resources.append(_target(plane, response))


def repeat_nonce(_plane, response):
    response.nonce = "n1"


def lose_nonce(_plane, response):
    response.nonce = ""


def lose_everything(_plane, response):
    """A version without content."""
    del response.resources[:]


def add_foreign_type(plane, response):
    """A resource of another type than the response's."""
    _body(plane, response).type_url = plane.plan.one_of((*FOREIGN, *TYPE_URLS))


def add_unwanted(plane, response):
    """Resources that nobody asked for."""
    for key in KEYS:
        if key[0] == response.type_url:
            response.resources.append(plane.wrapped(*key, plane.plan.below(EDITIONS)))


def send_and_remove(plane, response):
    """Send and remove at once; the state of the world cannot say that and sends two editions instead."""
    if plane.is_delta:
        name = _target(plane, response).name
        response.removed_resources.append(name)
        response.removed_resource_names.add(name=name)
    else:
        double(plane, response)


def remove_unknown(plane, response):
    """Remove what was never there, and some that were."""
    if plane.is_delta:
        response.removed_resources.extend(["nobody knows", "", "*", plane.plan.one_of(KEYS)[1]])


def crowd(plane, response):
    """A long list."""
    template = _body(plane, response)
    message = xds.unpack(template)
    if message is None or not hasattr(message, "name"):
        return
    for index in range(MANY):
        message.name = f"crowd {index}"
        body = xds.pack(message)
        wrapper = xds.message_class(WRAPPER)(name=message.name, version="1", resource=body)
        response.resources.append(wrapper if plane.is_delta else body)


def wrap_again(plane, response):
    """A wrapper in a wrapper."""
    wrapper, put = _in_wrapper(plane, response)
    for _ in range(1 + plane.plan.below(4)):
        wrapper.resource.CopyFrom(xds.pack(wrapper))
    put()


def rename(plane, response):
    """A wrapper with another name than its resource, or with none."""
    wrapper, put = _in_wrapper(plane, response)
    wrapper.name = plane.plan.one_of(("", "*", "b", "a/b", "xdstp://a/b?c=d"))
    wrapper.aliases.append(plane.plan.one_of(("a", "r", "*")))
    put()


def limit_life(plane, response):
    """A resource with a TTL."""
    wrapper, put = _in_wrapper(plane, response)
    wrapper.ttl.FromMilliseconds(plane.plan.one_of((TTL_MS, TTL_MS, -1, 2**60)))
    put()


def beat(plane, response):
    """A heartbeat: a wrapper without a body, with a TTL or not."""
    wrapper, put = _in_wrapper(plane, response)
    wrapper.ClearField("resource")
    if plane.plan.below(2):
        wrapper.ttl.FromMilliseconds(TTL_MS)
    put()


def nest(plane, response):
    """Any in Any, more or less deep."""
    body = _body(plane, response)
    message = xds.unpack(body)
    if message is not None and xds.type_url_of(message) in SETS:
        depth = plane.plan.one_of((2, DEEP, 3 * DEEP))
        message.metadata.typed_filter_metadata["deep"].CopyFrom(_nested(depth))
        body.value = message.SerializeToString()


@cache
def _nested(depth):
    inner = xds.message_class(ANY)(type_url=f"{xds.TYPE_URL_PREFIX}{ANY}")
    for _ in range(depth):
        inner = xds.pack(inner)
    return inner


MUTATIONS = (
    flip,
    flip,
    flip,
    cut,
    double,
    repeat_nonce,
    lose_nonce,
    lose_everything,
    add_foreign_type,
    add_unwanted,
    send_and_remove,
    remove_unknown,
    crowd,
    wrap_again,
    rename,
    limit_life,
    limit_life,
    beat,
    nest,
)
