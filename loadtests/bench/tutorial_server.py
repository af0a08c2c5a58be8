"""The server that a good tutorial teaches, as the fair comparison: FastAPI, pydantic models, ONNX Runtime.

    uvicorn loadtests.bench.tutorial_server:app --workers 2

The session is made once at start-up, with one thread and the same int8 file as ours. The endpoint is a plain function,
so that FastAPI runs it in its thread pool and the event loop stays free.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fastapi import FastAPI, Request
from pydantic import BaseModel

from loadtests.bench.classifier import Classifier


class PredictRequest(BaseModel):
    inputs: str | list[str]


class Prediction(BaseModel):
    label: str
    score: float
    probabilities: dict[str, float]


class PredictResponse(BaseModel):
    outputs: Prediction | list[Prediction]


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[None]:
    app.state.classifier = Classifier()
    yield


app = FastAPI(lifespan=lifespan)


@app.post("/predict")
def predict(body: PredictRequest, request: Request) -> PredictResponse:
    texts = [body.inputs] if isinstance(body.inputs, str) else body.inputs
    found = [Prediction(**answer) for answer in request.app.state.classifier(texts)]
    return PredictResponse(outputs=found[0] if isinstance(body.inputs, str) else found)
