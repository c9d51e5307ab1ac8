/** What ends a subscription, and whether it goes on afterwards. */

/** An error as a GraphQL response says it. */
export interface ResponseError {
  readonly message: string;
  readonly extensions?: Readonly<Record<string, unknown>> | undefined;
}

/** What `listThenLive` throws. `code`: the `ErrorCode` of the first error, as the schema lists them. */
export class GatewayError extends Error {
  override readonly name = 'GatewayError';
  readonly errors: readonly ResponseError[];
  readonly code: string | undefined;

  constructor(errors: readonly ResponseError[]) {
    super(errors[0]?.message ?? 'the operation failed');
    this.errors = errors;
    this.code = codeOf(errors);
  }
}

/** The `ErrorCode` of what a sink's `error` was given; undefined for what is no GraphQL error (a closed socket …). */
export function codeOf(error: unknown): string | undefined {
  return error instanceof GatewayError ? error.code : text(first(error)?.extensions?.['code']);
}

/** The cursor an error says to go on from. */
export function cursorIn(error: unknown): string | undefined {
  const details = first(error)?.extensions?.['details'];
  return isObject(details) ? text(details['cursor']) : undefined;
}

/**
 * Whether an operation that was ended by this may simply be sent again. Not CURSOR_EXPIRED and CURSOR_INVALID: the same
 * cursor would be refused for ever, and starting elsewhere would hide a loss. The application hears of those.
 */
export function passes(error: unknown): boolean {
  const code = codeOf(error);
  return code === undefined ? closedByFailure(error) : PASSING.has(code);
}

const PASSING = new Set(['SLOW_CONSUMER', 'LOG_UNAVAILABLE', 'RATE_LIMITED', 'TIMEOUT']);

/** graphql-ws gives up after 1011, which is also how a server ends a peer that was asleep and answered no ping. */
function closedByFailure(error: unknown): boolean {
  return isObject(error) && 'reason' in error && error['code'] === 1011;
}

/** How long to wait at least, in milliseconds. */
export function pauseIn(error: unknown): number {
  const said = first(error)?.extensions?.['retryAfterMs'];
  return typeof said === 'number' ? said : 0;
}

function first(error: unknown): ResponseError | undefined {
  return Array.isArray(error) ? (error[0] as ResponseError | undefined) : undefined;
}

function text(value: unknown): string | undefined {
  return typeof value === 'string' ? value : undefined;
}

/** Whether a value has properties to look at. */
export function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null;
}
