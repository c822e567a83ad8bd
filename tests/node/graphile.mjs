// graphile-worker as an application uses it: `node graphile.mjs migrate DSN`, `node graphile.mjs work DSN`.
import { run, runMigrations } from "graphile-worker";

const [command, connectionString] = process.argv.slice(2);
const taskList = {
  mail: async () => {},
  broken: async () => { throw new Error("no"); },
  endless: async () => { await new Promise((done) => setTimeout(done, 600_000)); },
};

if (command === "migrate") {
  await runMigrations({ connectionString });
} else {
  const runner = await run({ connectionString, taskList, concurrency: 2, pollInterval: 100 });
  await runner.promise;
}
