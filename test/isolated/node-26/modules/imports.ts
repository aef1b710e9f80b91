import { word } from './imported/word.ts';

export const say = (): string => word;
