/** For GraphQL Code Generator: what the schema's scalars are in TypeScript. */

/** Any JSON value. */
export type Json = string | number | boolean | null | readonly Json[] | { readonly [key: string]: Json };

/**
 * `config.scalars` of a `codegen.ts`. With `strictScalars: true` the generator refuses a schema that has others, instead
 * of typing them `any`.
 */
export const scalars = {
  Cursor: 'string',
  DateTime: 'string',
  Expression: 'string',
  JSON: '@event-streaming-bus/client/codegen#Json',
  Long: 'number',
} as const;
