// What tests ask of BullMQ: `node bullmq.js work|add|pause|resume PORT QUEUE [JSON]`.
import { Queue, Worker } from "bullmq";
import Redis from "ioredis";

const [task, port, name, more] = process.argv.slice(2);
const connection = new Redis({ host: "127.0.0.1", port: Number(port), maxRetriesPerRequest: null });
const given = JSON.parse(more ?? "{}");

if (task === "work") {
  // A job tells how long it takes, or that it fails.
  const work = async (job) => {
    if (job.data.fail) throw new Error("as asked for");
    await new Promise((done) => setTimeout(done, job.data.takes ?? 0));
  };
  const worker = new Worker(name, work, { connection, concurrency: 2, metrics: { maxDataPoints: 60 } });
  await worker.waitUntilReady();
  console.log("ready");
} else {
  const queue = new Queue(name, { connection });
  if (task === "add") for (const job of given.jobs) await queue.add("mail", job.data ?? {}, job.options ?? {});
  else await queue[task]();
  await queue.close();
  connection.disconnect();
}
