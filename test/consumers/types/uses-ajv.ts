import { createLeash } from 'leashkit';
import { jsonSchemaArgs } from 'leashkit/ajv';

createLeash({ guards: [jsonSchemaArgs({ charge: { type: 'object' } })] });
