/**
 * @generated SignedSource<<0368e36ae02f45957a7d1c4774dec61a>>
 * @lightSyntaxTransform
 */

/* eslint-disable */

'use strict';

var node = (function(){
var v0 = [
  {
    "defaultValue": null,
    "kind": "LocalArgument",
    "name": "event"
  }
],
v1 = [
  {
    "alias": null,
    "args": [
      {
        "kind": "Variable",
        "name": "event",
        "variableName": "event"
      }
    ],
    "concreteType": "Receipt",
    "kind": "LinkedField",
    "name": "publishEvent",
    "plural": false,
    "selections": [
      {
        "alias": null,
        "args": null,
        "kind": "ScalarField",
        "name": "eventId",
        "storageKey": null
      },
      {
        "alias": null,
        "args": null,
        "kind": "ScalarField",
        "name": "position",
        "storageKey": null
      }
    ],
    "storageKey": null
  }
];
return {
  "fragment": {
    "argumentDefinitions": (v0/*:: as any*/),
    "kind": "Fragment",
    "metadata": null,
    "name": "relayPublishMutation",
    "selections": (v1/*:: as any*/),
    "type": "Mutation",
    "abstractKey": null
  },
  "kind": "Request",
  "operation": {
    "argumentDefinitions": (v0/*:: as any*/),
    "kind": "Operation",
    "name": "relayPublishMutation",
    "selections": (v1/*:: as any*/)
  },
  "params": {
    "cacheID": "6f2061ca4b359f79351d12b4b6757092",
    "id": null,
    "metadata": {},
    "name": "relayPublishMutation",
    "operationKind": "mutation",
    "text": "mutation relayPublishMutation(\n  $event: EventInput!\n) {\n  publishEvent(event: $event) {\n    eventId\n    position\n  }\n}\n"
  }
};
})();

node.hash = "4a11eccbffcb6a3aaf5da20a310a00bf";

export default node;
