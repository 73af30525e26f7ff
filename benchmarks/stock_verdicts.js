// Verdicts of the library of `cdk diff` about pairs of templates, as `cdk diff --fail-on` reads them.
// stdin: [[before, after], …]. stdout: for each pair {lines, broadening, destructive}.
const { formatDifferences, fullDiff } = require("@aws-cdk/cloudformation-diff");
const { PassThrough } = require("stream");

const pairs = JSON.parse(require("fs").readFileSync(0, "utf8"));
const gone = ["WILL_REPLACE", "MAY_REPLACE", "WILL_DESTROY"];
const verdicts = pairs.map(([before, after]) => {
  try {
    const difference = fullDiff(before, after);
    const stream = new PassThrough();
    formatDifferences(stream, difference, {}, 3);
    let destructive = false;
    difference.resources.forEachDifference((logicalId, change) => {
      destructive ||= change.resourceType !== "AWS::CDK::Metadata" && gone.includes(change.changeImpact);
    });
    const text = (stream.read() ?? "").toString();
    return { lines: text.split("\n").length, broadening: difference.permissionsBroadened, destructive };
  } catch {
    return { lines: 0, broadening: false, destructive: false }; // it fails on a policy without a document
  }
});
process.stdout.write(JSON.stringify(verdicts));
