// The GraphiQL page. The server describes itself in <script id="esb-graphiql" type="application/json">:
// {"url", "subscriptionUrl"?, "token"?, "tabs"?: [{"query", "variables"?}]}; a missing subscriptionUrl means the same
// address over WebSocket. A token is there in development only; it goes out with every request and every connection_init
// unless the headers editor names another, and it never enters the browser's storage.
import { createGraphiQLFetcher } from "@graphiql/toolkit";
import { GraphiQL } from "graphiql";
import { createRoot } from "react-dom/client";
import "graphiql/style.css";

const here = new URL(".", document.currentScript.src);
const page = JSON.parse(document.getElementById("esb-graphiql").textContent);

globalThis.MonacoEnvironment = {
  getWorker(_id, label) {
    const name = label === "json" || label === "graphql" ? label : "editor";
    return new Worker(new URL(`${name}.worker.js`, here));
  },
};

function authorization(headers = {}) {
  const named = Object.keys(headers).some((name) => name.toLowerCase() === "authorization");
  return page.token && !named ? { authorization: `Bearer ${page.token}` } : {};
}

function fetcher(operation, options) {
  const ours = authorization(options?.headers);
  const url = new URL(page.url, location.href).href;
  const send = createGraphiQLFetcher({
    url,
    subscriptionUrl: new URL(page.subscriptionUrl ?? page.url, location.href).href.replace(/^http/, "ws"),
    headers: ours,
    wsConnectionParams: ours,
  });
  return send(operation, options);
}

// GraphiQL reads the variables as text, and takes a tab's title from its operation's name.
const tabs = (page.tabs ?? []).map(({ query, variables }) => ({
  query,
  variables: typeof variables === "string" ? variables : variables && JSON.stringify(variables, null, 2),
}));

createRoot(document.getElementById("graphiql")).render(
  <GraphiQL
    fetcher={fetcher}
    defaultTabs={tabs.length ? tabs : undefined}
    shouldPersistHeaders={false}
    showPersistHeadersSettings={false}
  />,
);
