// Differences of templates as `cdk diff` prints them, by the same library.
// stdin: [[before, after], …], a pair of templates each. stdout: a JSON array, a text for each pair.
const { Writable } = require("stream");
const { fullDiff, formatDifferences, TemplateDiff } = require("@aws-cdk/cloudformation-diff");

const { scrutinizablePropertyChanges, scrutinizableResourceChanges } = TemplateDiff.prototype;

// The library's tables of access fail on a policy that one side lacks the document of (2.187.5,
// IamChanges.readResourcePolicyResource): such a pair is printed without them.
const diff = (before, after) => {
  try {
    return fullDiff(before, after);
  } catch {
    TemplateDiff.prototype.scrutinizablePropertyChanges = () => [];
    TemplateDiff.prototype.scrutinizableResourceChanges = () => [];
    try {
      return fullDiff(before, after);
    } finally {
      Object.assign(TemplateDiff.prototype, { scrutinizablePropertyChanges, scrutinizableResourceChanges });
    }
  }
};

const pairs = JSON.parse(require("fs").readFileSync(0, "utf8"));
const printed = pairs.map(([before, after]) => {
  let text = "";
  const write = (chunk, encoding, done) => { text += chunk; done(); };
  formatDifferences(new Writable({ write }), diff(before, after));
  return text;
});
process.stdout.write(JSON.stringify(printed));
