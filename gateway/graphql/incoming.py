"""What a request over HTTP asks for: the request itself, and the operation it names."""

from starlette.requests import Request

from gateway.graphql.documents import Operation
from gateway.graphql.operations import Answer, Operations
from gateway.graphql.request import GraphQLRequest, decode_request, request_from_query
from gateway.problems import HttpRefusal
from gateway.rest.body import read_json
from schema.errors import ErrorCode


async def read_request(request: Request, body_bytes: int) -> GraphQLRequest:
    """The GraphQL request in a URL (GET) or a body of at most `body_bytes` (POST); raises BAD_INPUT, and
    PAYLOAD_TOO_LARGE."""
    if request.method == "GET":
        return request_from_query(dict(request.query_params))
    return decode_request(await read_json(request, body_bytes))


def find(operations: Operations, request: Request, said: GraphQLRequest) -> Operation | Answer:
    """What to run, or the answer that says why nothing is. Raises BAD_INPUT for a request without a document, which is
    malformed and no answer of an operation, and (405) for a mutation by GET, which caches might repeat."""
    _ = said.document
    found = operations.find(said)
    if request.method == "GET" and isinstance(found, Operation) and found.is_mutation:
        raise HttpRefusal(405, ErrorCode.BAD_INPUT, "a mutation is sent by POST")
    return found
