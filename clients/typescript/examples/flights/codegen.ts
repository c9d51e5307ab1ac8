import type { CodegenConfig } from '@graphql-codegen/cli';
import { scalars } from '@event-streaming-bus/client/codegen';

const config: CodegenConfig = {
  schema: '../../../../schema/schema.graphql', // or the gateway's address
  documents: ['late-flights.ts'],
  generates: {
    './gql/': {
      preset: 'client',
      presetConfig: { fragmentMasking: false },
      config: {
        scalars,
        strictScalars: true,
        documentMode: 'string', // leave it out for Apollo Client, which wants parsed documents
        useTypeImports: true,
        enumsAsTypes: true,
      },
    },
  },
  importExtension: '.js',
};

export default config;
