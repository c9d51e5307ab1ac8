import { createClient } from 'graphql-sse';
import { AUTHORIZATION, FEED, MUTATION, QUERY, URL_HTTP, manages } from './gateway.mjs';

const codeOf = (errors) => errors[0].extensions.code;

manages('graphql-sse, distinct connections', () => open(false), codeOf);
manages('graphql-sse, one connection', () => open(true), codeOf);

function open(singleConnection) {
  const client = createClient({ url: URL_HTTP, singleConnection, headers: () => ({ authorization: AUTHORIZATION }) });
  const once = async (query, variables) => {
    for await (const { data, errors } of client.iterate({ query, variables })) {
      if (errors) throw errors;
      return data;
    }
  };
  return {
    query: (variables) => once(QUERY, variables),
    mutate: (variables) => once(MUTATION, variables),
    follow: (variables, heard) =>
      client.subscribe(
        { query: FEED, variables },
        { next: ({ data, errors }) => (errors ? heard.error(errors) : heard.result(data)), error: heard.error, complete() {} },
      ),
    close: () => client.dispose(),
  };
}
