// Runs what a request asks of bundles, and prints the answers as JSON. The request is a file that `test_node.py` writes:
//   sessions:  [{file, runs: [{name: {dtype, shape, values}}]}]     through onnxruntime-node
//   pipelines: [{task, folder, dtype, inputs, options}]             through transformers.js
import { readFileSync } from 'node:fs';
import { basename, dirname } from 'node:path';
import ort from 'onnxruntime-node';
import { env, pipeline } from '@huggingface/transformers';

const wide = { int64: BigInt64Array, uint64: BigUint64Array };
const arrays = { float32: Float32Array, float64: Float64Array, int32: Int32Array, ...wide };

const tensor = ({ dtype, shape, values }) =>
  new ort.Tensor(dtype, arrays[dtype].from(dtype in wide ? values.map(BigInt) : values), shape);

const plain = ({ dims, data }) => ({ shape: dims, values: Array.from(data, Number) });

async function run({ file, runs }) {
  const session = await ort.InferenceSession.create(file, { intraOpNumThreads: 1, logSeverityLevel: 3 });
  const found = [];
  for (const feeds of runs) {
    const named = Object.entries(feeds).map(([name, value]) => [name, tensor(value)]);
    const outputs = await session.run(Object.fromEntries(named));
    found.push(Object.fromEntries(Object.entries(outputs).map(([name, value]) => [name, plain(value)])));
  }
  return found;
}

async function answer({ task, folder, dtype, inputs, options }) {
  env.allowRemoteModels = false;
  env.localModelPath = dirname(folder);
  const model = await pipeline(task, basename(folder), { dtype, device: 'cpu' });
  const found = [];
  for (const input of inputs) {
    const output = await model(input, options);
    found.push(output.data ? plain(output) : output);
  }
  return { type: model.model.config.model_type, architecture: model.model.constructor.name, answers: found };
}

const request = JSON.parse(readFileSync(process.argv[2], 'utf8'));
const sessions = [];
for (const wanted of request.sessions) sessions.push(await run(wanted));
const pipelines = [];
for (const wanted of request.pipelines) pipelines.push(await answer(wanted));
console.log(JSON.stringify({ sessions, pipelines }));
