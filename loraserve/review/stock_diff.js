// Differences of templates as `cdk diff` prints them, by the same library.
// stdin: [[before, after], …], a pair of templates each. stdout: a JSON array, a text for each pair.
const { Writable } = require("stream");
const { fullDiff, formatDifferences } = require("@aws-cdk/cloudformation-diff");

const pairs = JSON.parse(require("fs").readFileSync(0, "utf8"));
const printed = pairs.map(([before, after]) => {
  let text = "";
  const write = (chunk, encoding, done) => { text += chunk; done(); };
  formatDifferences(new Writable({ write }), fullDiff(before, after));
  return text;
});
process.stdout.write(JSON.stringify(printed));
