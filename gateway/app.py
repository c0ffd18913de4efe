"""The composition root: the only place that chooses implementations."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import asdict
from functools import cached_property
from pathlib import Path

import sqlalchemy as sa

from gateway import judges, shelves
from gateway.backfill import Backfill
from gateway.census import census
from gateway.clips import Clips
from gateway.confined import foreign_credentials
from gateway.errors import ConfigurationFault
from gateway.frame_judges import frame_gate
from gateway.housekeeping import Housekeeping
from gateway.jobs import JobQueue, Share, Worker
from gateway.keystore import watermark_secrets
from gateway.lookalikes import ClipLooks, Lookalikes
from gateway.marks import chosen_watermarker
from gateway.media.codec import Mp4Codec
from gateway.media.limits import WHOLE, MediaLimits
from gateway.media.sandbox import UntrustedVideo, decode_untrusted
from gateway.origins import Origins
from gateway.pipeline import Pipeline
from gateway.provenance.reading import CredentialReader
from gateway.provenance.signing import C2paSigner
from gateway.reference_images import ReferenceGate
from gateway.registers import Registers
from gateway.registry import SqlRegistry
from gateway.retries import Retries
from gateway.review import Docket, Exhibits, Review, Rulings
from gateway.rewrites import Rewrites
from gateway.sealer import ClipSealer
from gateway.seams import StepRunner
from gateway.signature import Signature, load_signature, own_organisation
from gateway.soft_bindings import SoftBindings
from gateway.store import Released, Vault
from gateway.tables import StageRow
from gateway.telemetry import Telemetry
from gateway.tracing import Tracing, exported
from gateway.verify import Verifier
from gateway.withdrawal import Withdrawals
from generator.cards import ModelCard, read_card
from generator.diffusion import DiffusersGenerator
from generator.errors import WeightsMissing as ModelWeightsMissing
from safety.faces import FaceFinder
from safety.frames import FrameGate
from safety.moderation import PromptGate
from safety.policy import Policy
from safety.rewrite import Rewriter
from safety.submission import SubmissionGate
from watermark.fingerprint.inverted import InvertedIndex
from watermark.watermarker import Watermarker

DAY_SECONDS = 86_400
EMBEDDED = Path(__file__).resolve().parent.parent / "generator" / "weights" / "embedded"


class Gateway(Registers):
    """Every part of one instance, each built on first use from the settings.

    Nothing is read or started by the constructor. ``opened`` prepares the folder and the
    database; ``running`` also starts the log's sequencer and, if asked, a worker.
    """

    _worker: Worker | None = None

    # --- the judges -------------------------------------------------------------------

    @cached_property
    def policy(self) -> Policy:
        """The rules in force."""
        return judges.policy_in_force(self.settings)

    @cached_property
    def prompts(self) -> PromptGate:
        """The prompt gate."""
        return judges.prompt_gate(self.policy, self.names.in_force, self.settings.moderators)

    @cached_property
    def submissions(self) -> SubmissionGate:
        """The prompt gate for whole requests."""
        return judges.submission_gate(self.prompts)

    @cached_property
    def frames(self) -> FrameGate:
        """The frame gate."""
        return frame_gate(
            self.policy,
            self.prompts.moderators,
            self.hash_lists.in_force,
            self.enrolled_faces.in_force,
            self.settings,
        )

    @cached_property
    def reference_images(self) -> ReferenceGate:
        """The gate for a picture that a clip is to begin with."""
        return ReferenceGate(
            frames=self.frames,
            lists=self.hash_lists.in_force,
            origin=self.origins,
            scratch=self.settings.work_dir,
            faces=FaceFinder(),
        )

    # --- the makers -------------------------------------------------------------------

    @cached_property
    def model_folders(self) -> dict[str, Path]:
        """Name → folder of every model that may be asked for."""
        return {"embedded": EMBEDDED, **self.settings.models}

    @cached_property
    def cards(self) -> Mapping[str, ModelCard]:
        """Name → card. A model without a readable card cannot be asked for."""
        try:
            return {name: read_card(path) for name, path in self.model_folders.items()}
        except ModelWeightsMissing as fault:
            raise ConfigurationFault(str(fault)) from fault

    @cached_property
    def generators(self) -> Mapping[str, DiffusersGenerator]:
        """Name → generator; weights are verified and loaded on the first clip."""
        return {
            name: DiffusersGenerator(self.model_folders[name], card)
            for name, card in self.cards.items()
        }

    # --- the marks --------------------------------------------------------------------

    @cached_property
    def watermarker(self) -> Watermarker:
        """The watermark with this instance's keys, the newest first."""
        marked = sa.select(StageRow.video_id).where(StageRow.stage == "mark")
        in_use = self.database.has_any(marked)
        secrets = watermark_secrets(self.settings.keys_dir, in_use=in_use)
        return chosen_watermarker(self.settings, secrets)

    @cached_property
    def codec(self) -> Mp4Codec:
        """Encodes and decodes our own files."""
        x264 = self.settings.encoding
        keyframes = x264.keyframe_seconds
        return Mp4Codec(crf=x264.crf, preset=x264.preset, keyframe_seconds=keyframes)

    @cached_property
    def signature(self) -> Signature:
        """Who signs here, and whom we believe."""
        return load_signature(self.settings, self.clock)

    @cached_property
    def reader(self) -> CredentialReader:
        """Reads credentials in files of ours."""
        return CredentialReader(
            anchors_pem=self.signature.anchors_pem,
            tsa_anchors_pem=self.signature.tsa_anchors_pem,
            organisation=own_organisation(self.settings),
        )

    @cached_property
    def origins(self) -> Origins:
        """Says where files come from; every foreign byte is read in a limited process."""
        return Origins(
            credentials=foreign_credentials(self.signature, self.settings),
            watermark=self.watermarker,
            looks=self.lookalikes,
            registry=SqlRegistry(self.database),
            log=self.log,
            clock=self.clock,
        )

    @cached_property
    def lookalikes(self) -> Lookalikes:
        """What released clips look like, in the memory of this process."""
        return Lookalikes(self.database, make_index=InvertedIndex)

    @cached_property
    def soft_bindings(self) -> SoftBindings:
        """From a mark or a look to the manifests of released clips."""
        return SoftBindings(
            algorithm=self.watermarker.name,
            registry=SqlRegistry(self.database),
            log=self.log,
            looks=self.lookalikes,
            released=self.released,
        )

    @cached_property
    def verifier(self) -> Verifier:
        """Says where a clip from outside comes from."""
        limits = MediaLimits(max_bytes=self.settings.limits.max_upload_bytes)
        return self.origins.verifier(lambda path: decode_untrusted(path, limits))

    @cached_property
    def withdrawals(self) -> Withdrawals:
        """Takes released clips back."""
        return Withdrawals(
            database=self.database, audit=self.log, released=self.released, clock=self.clock
        )

    @cached_property
    def vault(self) -> Vault:
        """Raw media; handed to the pipeline, and to what reviewers are shown."""
        return shelves.vault(self.settings)

    @cached_property
    def released(self) -> Released:
        """What may be fetched."""
        return shelves.released(self.settings)

    # --- the work ---------------------------------------------------------------------

    @cached_property
    def queue(self) -> JobQueue:
        """Where accepted requests wait."""
        return JobQueue(self.settings.database, self.tracing.origin)

    @cached_property
    def clips(self) -> Clips:
        """The shelf of every tenant."""
        return Clips(
            database=self.database,
            audit=self.log,
            queue=self.queue,
            prompts=self.submissions,
            permits=self.permissions,
            rewrites=Rewrites(self.database, self.log, Rewriter(names=self.names.in_force)),
            cards=self.cards,
            default_model=self.settings.model,
            released=self.released,
            limits=self.settings.limits,
            clock=self.clock,
            observer=self.telemetry,
        )

    @cached_property
    def retries(self) -> Retries:
        """Puts jobs back in the queue."""
        keep = self.settings.retention
        told = self.telemetry
        return Retries(self.database, self.log, self.queue, self.clock, keep, told)

    @cached_property
    def review(self) -> Review:
        """What waits for people, how they rule, and what they are shown."""
        docket = Docket(self.database, self.log, self.policy, self.clock)
        shared = (self.database, self.log, docket)
        return Review(
            docket=docket,
            rulings=Rulings(*shared, self.retries, self.policy, self.clock),
            exhibits=Exhibits(*shared, self.vault, self.codec, self.settings.work_dir),
        )

    @cached_property
    def backfill(self) -> Backfill:
        """Makes the fingerprints that are missing."""
        return Backfill(
            database=self.database,
            released=self.released,
            codec=self.codec,
            looks=ClipLooks(),
            scratch=self.settings.work_dir,
        )

    @cached_property
    def housekeeping(self) -> Housekeeping:
        """Removes what nobody may or need fetch any more."""
        return Housekeeping(
            database=self.database,
            audit=self.log,
            vault=self.vault,
            released=self.released,
            limits=self.settings.limits,
            retention=self.settings.retention,
            clock=self.clock,
            more={**self.backfill.chores, **self.anchor_chores},
        )

    @cached_property
    def tracing(self) -> Tracing:
        """Where spans of requests, clips and stages go; nowhere unless the settings say so."""
        endpoint = self.settings.tracing.endpoint
        return Tracing() if endpoint is None else exported(endpoint)

    @cached_property
    def telemetry(self) -> Telemetry:
        """What this process does, counted."""
        return Telemetry(
            {
                "database": lambda: asdict(census(self.database, self.clock())),
                "certificate": lambda: {
                    "certificate_seconds": self.signature.identity.days_left(self.clock())
                    * DAY_SECONDS
                },
                **self.anchor_sources,
            }
        )

    def pipeline(self, steps: StepRunner, *, scratch: Path, tsa_url: str) -> Pipeline:
        """The path of a clip, from these parts."""
        signer = C2paSigner(
            self.signature.identity,
            tsa_url,
            tsa_anchors_pem=self.signature.tsa_anchors_pem,
            clock=self.clock,
        )
        return Pipeline(
            record=self.record,
            vault=self.vault,
            released=self.released,
            scratch=scratch,
            prompts=self.submissions,
            generators=self.generators,
            frames=self.frames,
            marker=self.watermarker,
            looks=ClipLooks(),
            codec=self.codec,
            sealer=ClipSealer(
                settings=self.settings,
                signer=signer,
                reader=self.reader,
                cards=self.cards,
                clock=self.clock,
            ),
            log=self.sequencer,
            steps=steps,
            permits=self.permissions,
        )

    # --- life -------------------------------------------------------------------------

    def untrusted(self, path: Path, *, whole: bool = False) -> UntrustedVideo:
        """A file from outside, decoded in a limited process. ``whole`` looks at all of it."""
        return decode_untrusted(path, WHOLE if whole else None)

    @contextmanager
    def opened(self) -> Iterator[Gateway]:
        """The instance, ready to be asked; events it causes are in the log on leaving."""
        self.prepare()
        try:
            yield self
            self.log.sequence()
        finally:
            self.close()

    @contextmanager
    def running(self, *, worker: bool, share: Share = Share.ALL) -> Iterator[Gateway]:
        """The instance with its sequencer and, if asked, one worker in this process."""
        self.prepare()
        with ExitStack() as stack:
            stack.callback(self.close)
            if (metrics := self.settings.metrics).port:
                stack.enter_context(self.telemetry.exposed(metrics.host, metrics.port))
            self.sequencer.start()
            stack.callback(self.sequencer.stop)
            if worker:
                url = stack.enter_context(self.signature.time_stamps(self.clock))
                self._worker = Worker(
                    database=self.database,
                    lease_seconds=self.settings.lease_seconds,
                    share=share,
                    observer=self.telemetry,
                    tracing=self.tracing,
                    scratch=self.settings.work_dir,
                    record=self.record,
                    retries=self.retries,
                    housekeeping=self.housekeeping,
                    pipeline=lambda steps, scratch: self.pipeline(
                        steps, scratch=scratch, tsa_url=url
                    ),
                )
                self._worker.start()
                stack.callback(self._stop_worker)
            yield self

    def _stop_worker(self) -> None:
        if self._worker is not None:
            self._worker.stop()
            self._worker = None

    def close(self) -> None:
        """Close connections; the instance may be opened again."""
        for part in ("queue", "tracing", "database"):
            if part in self.__dict__:
                opened = self.__dict__.pop(part)
                opened.dispose() if part == "database" else opened.close()
