import { describe, expect, it } from 'vitest';
import { isShared } from '../../../src/egress/policy/shared-hosts.ts';

describe('isShared', () => {
  it.each([
    ['vercel.app', true],
    ['workers.dev', true],
    ['github.io', true],
    ['herokuapp.com', true],
    ['ngrok.io', true],
    ['blob.core.windows.net', true],
    // Above such a name everything below it is let in too.
    ['amazonaws.com', true],
    ['windows.net', true],
    ['core.windows.net', true],
    ['googleapis.com', true],
    // One label in the middle is a region.
    ['s3.amazonaws.com', true],
    ['s3.eu-west-1.amazonaws.com', true],
    ['eu-west-1.amazonaws.com', true],
    ['execute-api.us-east-1.amazonaws.com', true],
    ['a.run.app', true],
    ['run.app', true],
    // One tenant's own.
    ['acme.vercel.app', false],
    ['acme.github.io', false],
    ['bucket.s3.eu-west-1.amazonaws.com', false],
    ['account.blob.core.windows.net', false],
    ['sqs.eu-west-1.amazonaws.com', false],
    ['example.com', false],
    ['stripe.com', false],
    ['notvercel.app', false],
    ['xcloudfront.net', false],
    ['github.io.example.com', false],
  ])('says of *.%s: %s', (base, expected) => {
    expect(isShared(base)).toBe(expected);
  });
});
