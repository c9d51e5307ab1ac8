// Bundles GraphiQL and Monaco's workers into ../static, which the gateway serves beside the page.
import { rm } from "node:fs/promises";
import { fileURLToPath } from "node:url";
import { build } from "esbuild";

const outdir = fileURLToPath(new URL("../static/", import.meta.url));

await rm(outdir, { recursive: true, force: true });
await build({
  absWorkingDir: fileURLToPath(new URL(".", import.meta.url)),
  entryPoints: {
    graphiql: "src/graphiql.jsx",
    "editor.worker": "monaco-editor/esm/vs/editor/editor.worker.js",
    "graphql.worker": "monaco-graphql/esm/graphql.worker.js",
    "json.worker": "monaco-editor/esm/vs/language/json/json.worker.js",
  },
  outdir,
  bundle: true,
  minify: true,
  format: "iife",
  target: "es2022",
  jsx: "automatic",
  define: { "process.env.NODE_ENV": '"production"', "process.env": "{}" },
  loader: { ".ttf": "dataurl" },
  legalComments: "linked",
  logLevel: "warning",
});
