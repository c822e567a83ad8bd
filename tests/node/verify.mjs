// Verifies a webhook with the reference library: {secret, headers, body} as JSON on standard input, the body in base64.
import { readFileSync } from "node:fs";
import { Webhook } from "standardwebhooks";

const { secret, headers, body } = JSON.parse(readFileSync(0, "utf8"));
try {
  const told = new Webhook(secret).verify(Buffer.from(body, "base64").toString("utf8"), headers);
  console.log(JSON.stringify(told));
} catch (error) {
  console.log(`refused: ${error.message}`);
}
