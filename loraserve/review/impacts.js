// Impacts of template changes by AWS's resource specification, from the library of `cdk diff`.
// stdin: [[before, after], …], a pair of templates each. stdout: for each pair, an object by logical id:
// {impact: "WILL_REPLACE", properties: {Name: "WILL_REPLACE"}, stateful: true}. `stateful`: the specification
// says that the type holds data; null for a type that it does not know.
const { fullDiff, TemplateDiff } = require("@aws-cdk/cloudformation-diff");
const { loadResourceModel } = require("@aws-cdk/cloudformation-diff/lib/diff/util");

// The library also tabulates changes of IAM and security groups, which nothing here reads, and which fails on
// a policy that one side lacks the document of (2.187.5, IamChanges.readResourcePolicyResource).
TemplateDiff.prototype.scrutinizablePropertyChanges = () => [];
TemplateDiff.prototype.scrutinizableResourceChanges = () => [];

const pairs = JSON.parse(require("fs").readFileSync(0, "utf8"));
const found = pairs.map(([before, after]) => {
  const resources = {};
  fullDiff(before, after).resources.forEachDifference((logicalId, change) => {
    const properties = {};
    for (const [name, difference] of Object.entries(change.propertyUpdates)) {
      properties[name] = difference.changeImpact;
    }
    const model = loadResourceModel(change.oldResourceType ?? change.newResourceType);
    const stateful = model === undefined ? null : model.isStateful === true;
    resources[logicalId] = { impact: change.changeImpact, properties, stateful };
  });
  return resources;
});
process.stdout.write(JSON.stringify(found));
