/** What `import()` of a module gives: the names that it exports, or the error. */
const [, , specifier] = process.argv;
try {
  console.log(JSON.stringify({ names: Object.keys(await import(specifier)).sort() }));
} catch (error) {
  console.log(JSON.stringify({ code: error.code, message: error.message }));
}
