"""Messy names of models and machines."""

import csv
from datetime import UTC, datetime
from pathlib import Path

import pytest

from farthing.catalog.accelerator import accelerator_of, memory_gb
from farthing.catalog.catalog import Catalog

NOW = datetime(2026, 11, 15, tzinfo=UTC)
BILL = Path(__file__).parents[3] / "shared/data/billing/focus_1_0_real_sample.csv"


@pytest.fixture(scope="module")
def catalog() -> Catalog:
    return Catalog.load(now=NOW)


@pytest.mark.parametrize(
    ("name", "provider", "offer"),
    [
        ("gpt-4o", "", "openai/gpt-4o"),
        ("openai/gpt-4o-2024-08-06", "", "openai/gpt-4o"),
        ("gpt-4o-2024-05-13", "openai", "openai/gpt-4o-2024-05-13"),
        ("GPT-4.1 mini", "", "openai/gpt-4.1-mini"),
        ("gpt-5-mini-2025-08-07", "", "openai/gpt-5-mini"),
        ("  o3-mini ", "", "openai/o3-mini"),
        ("gpt-4o (batch)", "", "openai/gpt-4o:batch"),
        ("azure/gpt-4o", "", "openai/gpt-4o"),
        ("gpt-4o", "azure", "openai/gpt-4o"),
        ("Claude 3.5 Sonnet", "", "anthropic/claude-3-5-sonnet"),
        ("claude-sonnet-4@20250514", "", "anthropic/claude-sonnet-4-0"),
        ("us.anthropic.claude-sonnet-4-20250514-v1:0", "", "aws/regional.anthropic.claude-sonnet-4-20250514-v1:0"),
        ("global.anthropic.claude-sonnet-4-20250514-v1:0", "", "aws/global.anthropic.claude-sonnet-4-20250514-v1:0"),
        ("bedrock/amazon.nova-pro-v1:0", "", "aws/amazon.nova-pro-v1:0"),
        ("us.amazon.nova-pro-v1:0", "aws", "aws/amazon.nova-pro-v1:0"),
        (
            "arn:aws:bedrock:us-east-1:123456789012:inference-profile/us.anthropic.claude-sonnet-4-20250514-v1:0",
            "",
            "aws/regional.anthropic.claude-sonnet-4-20250514-v1:0",
        ),
        ("arn:aws:bedrock:us-east-1::foundation-model/amazon.nova-pro-v1:0", "", "aws/amazon.nova-pro-v1:0"),
        ("models/gemini-2.5-flash-001", "", "google/gemini-2.5-flash"),
        ("publishers/google/models/gemini-2.5-pro", "", "google/gemini-2.5-pro"),
        ("vertex_ai/gemini-2.5-pro", "", "google/gemini-2.5-pro"),
        ("gemini/gemini-2.5-flash", "", "google/gemini-2.5-flash"),
        ("xai/grok-4", "", "x-ai/grok-4-0709"),
        ("accounts/fireworks/models/gpt-oss-120b", "", "fireworks/gpt-oss-120b"),
        ("openrouter/anthropic/claude-3.5-sonnet", "", "openrouter/anthropic/claude-3.5-sonnet"),
        ("openrouter/deepseek/deepseek-r1:free", "", "openrouter/deepseek/deepseek-r1:free"),
        ("llama-3.3-70b-versatile", "", "groq/llama-3.3-70b-versatile"),
        ("groq/llama-3.3-70b-versatile", "", "groq/llama-3.3-70b-versatile"),
        ("meta-llama/Llama-3.3-70B-Instruct-Turbo", "together", "together/meta-llama/Llama-3.3-70B-Instruct-Turbo"),
    ],
)
def test_messy_names_find_their_offer(catalog, name, provider, offer):
    assert catalog.match(name, provider) == offer
    assert catalog.variants(offer)


@pytest.mark.parametrize("name", ["", "nonsense", "gpt-9-mini", "arn:aws:s3:::bucket", "/", "a/b/c", "claude-42-epic"])
def test_unknown_names_find_nothing(catalog, name):
    assert catalog.match(name) is None


def test_every_offer_is_found_by_its_own_id(catalog):
    ids = [o.id for o in catalog.token_offers if o.provider in {"openai", "anthropic", "google", "mistral", "groq"}]
    assert len(ids) > 300
    assert [i for i in ids if catalog.match(i) != i] == []


def test_misspelt_names_suggest_the_nearest(catalog):
    assert catalog.nearest("gpt-4oo")[0] == "openai/gpt-4o"
    assert "anthropic/claude-sonnet-4-5" in catalog.nearest("claude-sonet-4-5")


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("p5.48xlarge", ("H100-80GB", 8)),
        ("p5.4xlarge", ("H100-80GB", 1)),
        ("BoxUsage:p4d.24xlarge", ("A100-40GB", 8)),
        ("USE1-SpotUsage:p6-b200.48xlarge", ("B200-180GB", 8)),
        ("$1.14 per On Demand Linux g3.4xlarge Instance Hour", ("M60-8GB", 1)),
        ("g4dn.metal", ("T4-16GB", 8)),
        ("trn1.32xlarge", ("Trainium-32GB", 16)),
        ("Standard_ND96isr_H100_v5", ("H100-80GB", 8)),
        ("Standard_ND96amsr_A100_v4", ("A100-80GB", 8)),
        ("ND96asr A100 v4", ("A100-40GB", 8)),
        ("NC24ads A100 v4", ("A100-80GB", 1)),
        ("NC6s v3", ("V100-16GB", 1)),
        ("NC64as T4 v3", ("T4-16GB", 4)),
        ("Standard_NV72ads_A10_v5", ("A10-24GB", 2)),
        ("BM.GPU.A10.4", ("A10-24GB", 4)),
        ("BM.GPU.A100-v2.8", ("A100-80GB", 8)),
        ("VM.GPU3.1", ("V100-16GB", 1)),
        ("a2-highgpu-1g", ("A100-40GB", 1)),
        ("a3-highgpu-8g", ("H100-80GB", 8)),
        ("g2-standard-48", ("L4-24GB", 4)),
        ("n1-standard-4+t4", ("T4-16GB", 1)),
        ("NVIDIA A100 40GB", ("A100-40GB", 1)),
        ("Nvidia H100 80GB GPU attached to Spot Preemptible VMs running in Virginia", ("H100-80GB", 1)),
        ("8x NVIDIA H100 80GB", ("H100-80GB", 8)),
        ("gpu_8x_a100_80gb_sxm4", ("A100-80GB", 8)),
        ("4 GPUs H200 cluster", ("H200-141GB", 4)),
        ("Nvidia Tesla T4 GPU running in Americas", ("T4-16GB", 1)),
    ],
)
def test_accelerators_are_recognized(text, found):
    assert accelerator_of(text) == found


@pytest.mark.parametrize(
    "text",
    [
        "", "m5.24xlarge", "Standard_D4s_v3", "Standard_A10", "A10 v2", "L4 load balancer", "Standard E5 Memory",
        "T4 tier", "arn:aws:lambda:us-east-1:8237:function:fuimlfite-2m-gpu", "i-01444a101b1a0e89l", "p99 latency",
        "Premium SSD Managed Disks P40 LRS", "HG7XAVTNPPFZNV7Q.JRTCKXETXF.6YS6EN2CT7", "g5 hosting plan",
    ],
)  # fmt: skip
def test_other_things_are_no_accelerators(text):
    assert accelerator_of(text) is None


def test_every_machine_of_the_tables_is_recognized_by_its_product(catalog):
    clouds = [o for o in catalog.offers if o.provider in {"aws", "azure", "gcp", "oci"} and o.capability.accelerators]
    named = [o for o in clouds if not o.product.startswith("tpu")]
    wrong = {
        (o.product, accelerator_of(o.product))
        for o in named
        if accelerator_of(o.product) != (o.capability.accelerator, o.capability.accelerators)
    }
    assert len(named) > 1000
    assert wrong == set()


def test_memory_is_part_of_the_canonical_name():
    assert memory_gb("H100-80GB") == 80
    assert memory_gb("") == 0


@pytest.mark.skipif(not BILL.exists(), reason="the evaluation data is not here")
def test_the_gpu_rows_of_a_real_bill_are_found():
    with BILL.open(newline="") as file:
        found = {(r["ChargeDescription"], accelerator_of(r["ChargeDescription"])) for r in csv.DictReader(file)}
    gpus = {(text, hit) for text, hit in found if hit is not None}
    assert gpus == {
        ("$1.14 per On Demand Linux g3.4xlarge Instance Hour", ("M60-8GB", 1)),
        ("$1.624 per On Demand Linux g5.4xlarge Instance Hour", ("A10G-24GB", 1)),
    }
