/** Every snippet of the README compiles as it stands, as strictly as the package itself. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { test } from 'node:test';
import { scalars } from '@event-streaming-bus/client/codegen';

test('the snippets of the README compile', () => {
  const snippets = [...readFileSync('README.md', 'utf8').matchAll(/^```ts\n(.*?)^```$/gms)].map(([, code]) => code as string);
  assert.ok(snippets.length >= 6);
  rmSync('build/readme', { recursive: true, force: true });
  mkdirSync('build/readme', { recursive: true });
  snippets.forEach((code, index) => writeFileSync(`build/readme/snippet${index}.ts`, code));
  const compilerOptions = { rootDir: '.', outDir: 'out', types: ['node'], declaration: false, noUnusedLocals: false };
  writeFileSync('build/readme/tsconfig.json', JSON.stringify({ extends: '../../tsconfig.json', compilerOptions, include: ['.'] }));
  const done = spawnSync('node_modules/.bin/tsc', ['--project', 'build/readme', '--noEmit'], { encoding: 'utf8' });
  assert.equal(done.stdout, '');
});

test('every scalar of the schema has its type', () => {
  const schema = readFileSync('../../schema/schema.graphql', 'utf8');
  const named = [...schema.matchAll(/^scalar (\w+)/gm)].map(([, name]) => name);
  assert.deepEqual(Object.keys(scalars).toSorted(), named.toSorted());
});
