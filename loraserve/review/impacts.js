// Impacts of template changes by AWS's resource specification, from the library of `cdk diff`.
// stdin: [[before, after], …], a pair of templates each. stdout: for each pair, an object by logical id:
// {impact: "WILL_REPLACE", properties: {Name: "WILL_REPLACE"}}.
const { fullDiff } = require("@aws-cdk/cloudformation-diff");

const pairs = JSON.parse(require("fs").readFileSync(0, "utf8"));
const found = pairs.map(([before, after]) => {
  const resources = {};
  fullDiff(before, after).resources.forEachDifference((logicalId, change) => {
    const properties = {};
    for (const [name, difference] of Object.entries(change.propertyUpdates)) {
      properties[name] = difference.changeImpact;
    }
    resources[logicalId] = { impact: change.changeImpact, properties };
  });
  return resources;
});
process.stdout.write(JSON.stringify(found));
