"""Settings of the trainer: where runs, datasets and versions are kept. The only reader of the environment here."""

from __future__ import annotations

from pathlib import Path

from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict


class TrainerSettings(BaseSettings):
    """What training needs to know of its machine; each field is the variable TENSORGATE_<FIELD>."""

    model_config = SettingsConfigDict(env_prefix="TENSORGATE_", frozen=True, extra="ignore")

    home: Path = Field(default=Path(".tensorgate"), description="folder of the store, runs, datasets and logs")
    store: str = Field(default="", description="folder or s3://bucket/prefix; empty: <home>/store")
    datasets: str = Field(default="", description="mirror of the datasets: a folder, s3://bucket/prefix or https://...")

    tf_config: str = Field(
        default="", validation_alias="TF_CONFIG", description="TensorFlow's own: the workers that train together"
    )

    @property
    def store_url(self) -> str:
        """The store that was configured, or the one in the home folder."""
        return self.store or str(self.home / "store")

    @property
    def runs(self) -> Path:
        """Where run folders are kept."""
        return self.home / "runs"

    @property
    def comparisons(self) -> Path:
        """Where the folders of comparisons are kept."""
        return self.home / "comparisons"

    @property
    def datasets_folder(self) -> Path:
        """Where fetched datasets are kept, and where a person puts one by hand."""
        return self.home / "datasets"
